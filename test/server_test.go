//go:build e2e

package test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// server is one of the private servers, to be killed, frozen and started again by
// itself: scripts/up would wait for the others, which may be down too.
type server struct {
	name, dir, cwd string
	argv, env      []string
	mu             sync.Mutex // one operation at a time
}

// newServer remembers how the server runs.
func newServer(t *testing.T, dir, name string) *server {
	t.Helper()
	pid, err := pidOf(dir, name)
	require.NoError(t, err)
	b := &server{name: name, dir: dir}
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	list := func(file string) []string {
		text, err := os.ReadFile(filepath.Join(proc, file))
		require.NoError(t, err)
		return strings.Split(strings.TrimRight(string(text), "\x00"), "\x00")
	}
	b.argv, b.env = list("cmdline"), list("environ")
	b.cwd, err = os.Readlink(filepath.Join(proc, "cwd"))
	require.NoError(t, err)
	return b
}

func (b *server) signal(s syscall.Signal) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	pid, err := pidOf(b.dir, b.name)
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, s); !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil // another fault of the schedule killed it before
}

// kill is kill -9; it returns when the process is gone.
func (b *server) kill() error {
	if err := b.signal(syscall.SIGKILL); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for range 500 {
		if !b.alive() {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("%s outlives kill -9", b.name)
}

// alive is false for a zombie too: its command line is empty. The caller must
// hold b.mu.
func (b *server) alive() bool {
	pid, err := pidOf(b.dir, b.name)
	if err != nil {
		return false
	}
	line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	return err == nil && len(line) > 0
}

// began is when the server was started.
func (b *server) began() time.Time {
	info, err := os.Stat(filepath.Join(b.dir, b.name+".pid"))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// start runs it again as it ran, unless it runs.
func (b *server) start() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.alive() {
		return nil
	}
	log, err := os.OpenFile(filepath.Join(b.dir, "log", b.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(b.argv[0], b.argv[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = b.env, b.cwd, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }()
	return os.WriteFile(filepath.Join(b.dir, b.name+".pid"), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600)
}

var stampRE = regexp.MustCompile(`(?m)^#TS:(\d+)\r?$`)

// loseTail cuts off what the Redis that is down wrote in its last moments, and
// returns how many bytes that were: none when all the file has is younger.
func (b *server) loseTail(lost time.Duration) (bytes int64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	folder := filepath.Join(b.dir, "data", b.name, "appendonlydir")
	logs, err := filepath.Glob(filepath.Join(folder, "*.incr.aof"))
	if err != nil || len(logs) != 1 {
		return 0, fmt.Errorf("%d append-only files: %w", len(logs), err)
	}
	text, err := os.ReadFile(logs[0])
	if err != nil {
		return 0, err
	}
	stamps := stampRE.FindAllSubmatch(text, -1)
	if len(stamps) == 0 {
		return 0, nil
	}
	first, _ := strconv.ParseInt(string(stamps[0][1]), 10, 64)
	last, _ := strconv.ParseInt(string(stamps[len(stamps)-1][1]), 10, 64)
	at := max(first, last-int64(lost/time.Second))
	out, err := exec.Command("redis-check-aof", "--truncate-to-timestamp", strconv.FormatInt(at, 10),
		filepath.Join(folder, "appendonly.aof.manifest")).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("redis-check-aof: %w: %s", err, out)
	}
	info, err := os.Stat(logs[0])
	if err != nil {
		return 0, err
	}
	return int64(len(text)) - info.Size(), nil
}
