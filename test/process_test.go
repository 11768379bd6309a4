//go:build e2e

// Package test runs the whole program as its users do: real processes on real
// servers, under load, stopped and killed at bad moments.
package test

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "100") // the lanes are the limit
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "seckill-e2e")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		for _, s := range sets {
			defer s.end()
		}
		binary = filepath.Join(dir, "seckill")
		build := exec.Command("go", "build", "-o", binary, "../cmd/seckill")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
			return 1
		}
		if err := agreed.read(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return max(m.Run(), agreed.verdict())
	}())
}

// process is one running role.
type process struct {
	t     *testing.T
	path  string // of the program; "" is the one under test
	args  []string
	env   []string
	log   string // file
	cmd   *exec.Cmd
	ended chan struct{}
}

// startProcess runs the program with args and waits until it is ready on its
// admin address.
func startProcess(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	p := newProcess(t, env, args...)
	p.start()
	return p
}

// newProcess is startProcess without the start.
func newProcess(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, args: append(args, "--admin-listen", freeAddr(t)), env: env, ended: make(chan struct{})}
	close(p.ended)
	p.log = filepath.Join(t.TempDir(), args[0]+".log")
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			text, _ := os.ReadFile(p.log)
			t.Logf("log of seckill %s:\n%s", strings.Join(p.args, " "), tailOf(text, 12))
		}
	})
	return p
}

func (p *process) start() {
	p.t.Helper()
	require.NoError(p.t, p.launch())
	require.Eventually(p.t, p.ready, 30*time.Second, 20*time.Millisecond, "%s is not ready", p.args[0])
}

// launch is start without the wait until it is ready.
func (p *process) launch() error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	p.cmd = exec.Command(cmp.Or(p.path, binary), p.args...)
	p.cmd.Env = p.env
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // not to outlive a test that times out
	if err := p.cmd.Start(); err != nil {
		return err
	}
	cmd, ended := p.cmd, make(chan struct{})
	p.ended = ended
	go func() { _ = cmd.Wait(); close(ended) }()
	return nil
}

func (p *process) ready() bool {
	res, err := get("http://" + p.adminAddr() + "/readyz")
	return err == nil && res.status == http.StatusOK
}

// adminAddr is where the process serves operators.
func (p *process) adminAddr() string { return p.args[len(p.args)-1] }

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// kill is kill -9.
func (p *process) kill() {
	if p.running() {
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// terminate is SIGTERM; it must end cleanly within the time.
func (p *process) terminate(within time.Duration) { p.signal(syscall.SIGTERM, within) }

// signal ends a process by a signal on which it drains.
func (p *process) signal(sig syscall.Signal, within time.Duration) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(sig))
	select {
	case <-p.ended:
		require.Equal(p.t, 0, p.cmd.ProcessState.ExitCode(), "exit code of %s after %s", p.args[0], sig)
	case <-time.After(within):
		p.t.Errorf("%s does not end within %s of %s", p.args[0], within, sig)
		p.kill()
	}
}

// command runs one of the program's commands to its end.
func command(t *testing.T, env []string, stdin string, args ...string) (stdout string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = env
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if cmd.ProcessState == nil {
		require.NoError(t, err)
	}
	if code = cmd.ProcessState.ExitCode(); code != 0 {
		t.Logf("seckill %s: exit %d: %s", strings.Join(args, " "), code, errs.String())
	}
	return out.String(), code
}

// nextPort goes round 24,000 to 27,999: none that the system gives to a client
// (ip_local_port_range) or that scripts/up takes, for a server that is down just
// now. A port of the system's own choice may be some client's by the time that a
// role listens on it.
var nextPort = func() *atomic.Uint32 {
	n := new(atomic.Uint32)
	n.Store(rand.Uint32N(4_000))
	return n
}()

// freeAddr returns an address that nobody listens on, another at each call.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 24_000+nextPort.Add(1)%4_000)
		if ln, err := net.Listen("tcp", addr); err == nil {
			require.NoError(t, ln.Close())
			return addr
		}
	}
	t.Fatal("no free port from 24000 to 27999")
	return ""
}

// message is what a line of a log says.
var message = regexp.MustCompile(` msg=("[^"]*"|\S+)`)

// tailOf returns the last lines of a log. Of consecutive lines with the same
// message it keeps the last, and how many there were: the assertion that failed
// stands above the logs of all processes, and must not be cut off with them.
func tailOf(text []byte, lines int) string {
	var kept []string
	said, times := "", 0
	for line := range strings.Lines(strings.TrimSpace(string(text))) {
		line = strings.TrimSuffix(line[:min(len(line), 300)], "\n")
		says := line
		if m := message.FindString(line); m != "" {
			says = m
		}
		if says != said {
			kept, said, times = append(kept, line), says, 1
			continue
		}
		times++
		kept[len(kept)-1] = fmt.Sprintf("%s (%d times)", line, times)
	}
	return strings.Join(kept[max(0, len(kept)-lines):], "\n")
}

// background runs a server of the test's own until the test ends, and waits
// until it answers at url.
func background(t *testing.T, cmd *exec.Cmd, url string) {
	t.Helper()
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &log, &log, time.Second
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s: %s", cmd.Path, tailOf(log.Bytes(), 20))
		}
	})
	require.Eventually(t, func() bool {
		res, err := get(url)
		return err == nil && res.status == http.StatusOK
	}, 20*time.Second, 50*time.Millisecond, "%s is not ready", cmd.Path)
}

// script runs one of the project's scripts.
func script(t *testing.T, env []string, name string, args ...string) {
	t.Helper()
	cmd := exec.Command("../scripts/"+name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "scripts/%s: %s", name, out)
}

func medianOf(ds []time.Duration) time.Duration {
	slices.Sort(ds)
	return ds[len(ds)/2]
}
