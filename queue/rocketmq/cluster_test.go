//go:build e2e

package rocketmq_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/internal/testenv"
)

// cluster is a name server and a broker of the test's own, to be killed.
type cluster struct {
	tb     testing.TB
	dir    string
	jars   string
	ns     int // ports
	broker int

	running map[string]*exec.Cmd
}

// newCluster prepares a cluster; nothing runs yet.
func newCluster(tb testing.TB) *cluster {
	tb.Helper()
	c := &cluster{tb: tb, dir: tb.TempDir(), jars: testenv.RocketMQJars(tb), running: make(map[string]*exec.Cmd)}
	c.ns, c.broker = freePort(tb), freePort(tb)
	c.write("namesrv.conf", fmt.Sprintf("listenPort=%d\nbindAddress=127.0.0.1\n", c.ns))
	c.write("broker.conf", strings.Join([]string{
		"brokerClusterName=DefaultCluster", "brokerName=broker-a", "brokerId=0",
		"brokerIP1=127.0.0.1", "bindAddress=127.0.0.1", fmt.Sprint("listenPort=", c.broker),
		fmt.Sprintf("namesrvAddr=127.0.0.1:%d", c.ns),
		"autoCreateTopicEnable=false", "flushDiskType=SYNC_FLUSH",
		"storePathRootDir=" + c.dir + "/store", "storePathCommitLog=" + c.dir + "/store/commitlog",
		"mappedFileSizeCommitLog=134217728", "maxHashSlotNum=100000", "maxIndexNum=400000", "",
	}, "\n"))
	tb.Cleanup(func() { c.kill("broker"); c.kill("namesrv") })
	return c
}

func (c *cluster) servers() []string { return []string{fmt.Sprintf("127.0.0.1:%d", c.ns)} }

func (c *cluster) write(name, text string) {
	require.NoError(c.tb, os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o600))
}

// freePort returns a port that is free, with those that a broker takes beside
// it. It is none that the system gives to clients: who dials such a port while
// nobody listens may be connected to himself and hold it.
func freePort(tb testing.TB) int {
	tb.Helper()
	for range 100 {
		port := 22_000 + rand.IntN(10_000)
		if free(port-2) && free(port) && free(port+1) {
			return port
		}
	}
	tb.Fatal("no free port")
	return 0
}

func free(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	return err == nil && l.Close() == nil
}

func (c *cluster) startNameServer() {
	c.start("namesrv", "128m", "org.apache.rocketmq.namesrv.NamesrvStartup", "-c", c.dir+"/namesrv.conf")
}

func (c *cluster) startBroker() {
	c.start("broker", "512m", "org.apache.rocketmq.broker.BrokerStartup", "-c", c.dir+"/broker.conf")
}

func (c *cluster) start(name, heap, class string, args ...string) {
	c.tb.Helper()
	all := append([]string{
		"--add-exports", "java.base/sun.nio.ch=ALL-UNNAMED", "--add-opens", "java.base/java.nio=ALL-UNNAMED",
		"-Duser.home=" + c.dir, "-Xms" + heap, "-Xmx" + heap, "-XX:MaxDirectMemorySize=512m",
		"-Drmq.logback.configurationFile=rmq." + name + ".logback.xml", "-cp", c.jars + "/*", class,
	}, args...)
	cmd := exec.Command("java", all...)
	cmd.Dir, cmd.Env = c.dir, append(os.Environ(), "ROCKETMQ_HOME="+c.dir)
	out, err := os.Create(filepath.Join(c.dir, name+".out"))
	require.NoError(c.tb, err)
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	require.NoError(c.tb, cmd.Start())
	c.running[name] = cmd
}

// up waits until both said that they are up.
func (c *cluster) up() {
	c.tb.Helper()
	for name := range c.running {
		require.Eventually(c.tb, func() bool {
			out, err := os.ReadFile(filepath.Join(c.dir, name+".out"))
			return err == nil && bytes.Contains(out, []byte("boot success"))
		}, 60*time.Second, 20*time.Millisecond, "%s does not start", name)
	}
}

func (c *cluster) kill(name string) {
	if cmd := c.running[name]; cmd != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // says that it was killed
		delete(c.running, name)
	}
}
