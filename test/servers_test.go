//go:build e2e

package test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// private is a set of servers that tests may kill, started by the first that
// asks and ended by TestMain.
var private servers

type servers struct {
	once   sync.Once
	dir    string
	env    map[string]string
	broker *hop // before the broker, who says that its address is the proxy's
}

// brokerIP is the address that the broker gives to its clients. It listens on
// 127.0.0.1.
const brokerIP = "127.0.0.2"

// start returns the servers' settings and the folder with their PID files. All
// of them run: what an earlier test killed is started again.
func (s *servers) start(t *testing.T) (env map[string]string, dir string) {
	t.Helper()
	s.once.Do(func() {
		root, err := filepath.Abs("..")
		require.NoError(t, err)
		if s.dir = os.Getenv("SECKILL_FAULTS_DIR"); s.dir != "" {
			return // scripts/faults made it and ends what runs in it
		}
		s.dir, err = os.MkdirTemp("", "seckill-servers") //nolint:usetesting // it outlives the test that is first
		require.NoError(t, err)
		require.NoError(t, os.Symlink(filepath.Join(root, ".run", "rocketmq"), filepath.Join(s.dir, "rocketmq")))
	})
	up := []string{"SECKILL_UP_DIR=" + s.dir, "SECKILL_UP_BROKER_IP=" + brokerIP, "SECKILL_UP_BROKER_DISK=" + brokerDisk}
	for _, name := range []string{"REDIS", "MARIADB", "NAMESRV", "BROKER"} {
		up = append(up, "SECKILL_UP_"+name+"_PORT=") // what the shop's own have is taken
	}
	script(t, up, "up")
	if s.broker == nil {
		port, err := os.ReadFile(filepath.Join(s.dir, "ports", "broker"))
		require.NoError(t, err)
		number := ":" + strings.TrimSpace(string(port))
		s.broker, err = openHop("clients>broker", brokerIP+number, "127.0.0.1"+number)
		require.NoError(t, err)
	}
	s.env = readEnv(t, filepath.Join(s.dir, "env"))
	s.env["UP"] = strings.Join(up, " ")
	return s.env, s.dir
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

// killServer is kill -9 of a server that scripts/up started in dir.
func killServer(t *testing.T, dir, name string) {
	t.Helper()
	pid, err := pidOf(dir, name)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
}

func pidOf(dir, name string) (int, error) {
	text, err := os.ReadFile(filepath.Join(dir, name+".pid"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}
