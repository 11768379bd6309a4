//go:build e2e

package test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// servers is a set of servers that tests may kill, started by the first test
// that gets it and ended by TestMain.
type servers struct {
	dir    string            // of scripts/up, with the PID files; "" of the servers that everybody shares
	env    map[string]string // a shop's settings
	broker *link             // in front of the broker, which names the proxy as its own address
}

// sets are two, because most tests wait for a server to come back. scripts/faults
// makes its own and ends what runs in it.
var sets = func() []*servers {
	if dir := os.Getenv("SECKILL_FAULTS_DIR"); dir != "" {
		return []*servers{{dir: dir}}
	}
	return []*servers{{}, {}}
}()

// brokerIP is the address that the broker gives to its clients. It listens on
// 127.0.0.1.
const brokerIP = "127.0.0.2"

// start starts what does not run: all of it for the first test, what the one
// before has killed for another.
func (s *servers) start(t *testing.T) *servers {
	t.Helper()
	if s.dir == "" {
		jars, err := filepath.Abs("../.run/rocketmq")
		require.NoError(t, err)
		s.dir, err = os.MkdirTemp("", "seckill-servers") //nolint:usetesting // it outlives the test that is first
		require.NoError(t, err)
		require.NoError(t, os.Symlink(jars, filepath.Join(s.dir, "rocketmq")))
	}
	s.up(t)
	if s.broker == nil {
		port, err := os.ReadFile(filepath.Join(s.dir, "ports", "broker"))
		require.NoError(t, err)
		number := ":" + strings.TrimSpace(string(port))
		s.broker, err = openLink("clients>broker", brokerIP+number, "127.0.0.1"+number)
		require.NoError(t, err)
	}
	s.env = readEnv(t, filepath.Join(s.dir, "env"))
	return s
}

// up is scripts/up. The JVMs only compile as fast as they can: they live for
// minutes, and an optimising compiler would take half of their time.
func (s *servers) up(t *testing.T) {
	t.Helper()
	env := []string{
		"SECKILL_UP_DIR=" + s.dir, "SECKILL_UP_BROKER_IP=" + brokerIP, "SECKILL_UP_BROKER_DISK=" + brokerDisk,
		"JAVA_TOOL_OPTIONS=-XX:TieredStopAtLevel=1",
	}
	for _, name := range []string{"REDIS", "MARIADB", "NAMESRV", "BROKER"} {
		env = append(env, "SECKILL_UP_"+name+"_PORT=") // the ports of the shared ones are taken
	}
	script(t, env, "up")
}

// kill is kill -9.
func (s *servers) kill(t *testing.T, name string) {
	t.Helper()
	pid, err := pidOf(s.dir, name)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
}

// end kills what start started; nothing of it is needed any more.
func (s *servers) end() {
	if s.broker != nil {
		s.broker.close()
	}
	if s.dir == "" || s.dir == os.Getenv("SECKILL_FAULTS_DIR") {
		return
	}
	for _, name := range []string{"redis", "redis-replica", "mariadb", "broker", "namesrv"} {
		if pid, err := pidOf(s.dir, name); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	_ = syscall.Unmount(filepath.Join(s.dir, "data", "broker"), syscall.MNT_DETACH)
	_ = os.RemoveAll(s.dir)
}

func pidOf(dir, name string) (int, error) {
	text, err := os.ReadFile(filepath.Join(dir, name+".pid"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}
