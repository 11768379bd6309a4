package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"seckill/internal/loop"
)

const (
	startWithin = 60 * time.Second
	stopWithin  = 40 * time.Second
)

// processes are the running programs of this benchmark and its servers, by PID. CPU
// time of anything else is foreign.
type processes struct {
	mu    sync.Mutex
	pids  map[int]string
	ended map[string]time.Duration // CPU time of those that have exited, by name
}

func (p *processes) add(pid int, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pids[pid] = name
}

// remove moves the CPU time of a child that has exited to ended.
func (p *processes) remove(s *os.ProcessState) {
	if s == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended[p.pids[s.Pid()]] += s.UserTime() + s.SystemTime()
	delete(p.pids, s.Pid())
}

func (p *processes) all() (pids map[int]string, ended map[string]time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.pids), maps.Clone(p.ended)
}

// process is a program that the benchmark started.
type process struct {
	name string
	pid  int
	log  string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has exited
	err  error
}

// start runs a program with its output in a log. It gets SIGTERM when ctx ends.
func (b *bench) start(ctx context.Context, name string, env []string, path string, args ...string) (*process, error) {
	log := filepath.Join(b.work, name+".log")
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	c := exec.CommandContext(ctx, path, args...)
	c.Env, c.Stdout, c.Stderr = env, out, out
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = stopWithin
	p, err := b.launch(name, c)
	if err == nil {
		p.log = log
	}
	return p, err
}

// launch starts a command whose CPU time counts as ours.
func (b *bench) launch(name string, c *exec.Cmd) (*process, error) {
	if err := c.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &process{name: name, cmd: c, pid: c.Process.Pid, done: make(chan struct{})}
	role, _, _ := strings.Cut(name, "-")
	b.procs.add(p.pid, role)
	go func() {
		defer close(p.done)
		p.err = c.Wait()
		b.procs.remove(c.ProcessState)
	}()
	return p, nil
}

// stop sends SIGTERM and waits until the process has exited.
func (p *process) stop() error {
	if p == nil {
		return nil
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails if it has exited
	select {
	case <-p.done:
	case <-time.After(stopWithin):
		_ = p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("%s did not stop within %s", p.name, stopWithin)
	}
	if p.err != nil {
		return fmt.Errorf("%s: %w; see %s", p.name, p.err, p.log)
	}
	return nil
}

// address waits for the log line with the address at which the process listens.
func (p *process) address(ctx context.Context, msg string) (string, error) {
	var addr string
	err := until(ctx, startWithin, func() (bool, error) {
		select {
		case <-p.done:
			return false, fmt.Errorf("%s exited: %w; see %s", p.name, p.err, p.log)
		default:
		}
		text, err := os.ReadFile(p.log)
		for line := range strings.SplitSeq(string(text), "\n") {
			var l struct {
				Msg  string `json:"msg"`
				Addr string `json:"addr"`
			}
			if json.Unmarshal([]byte(line), &l) == nil && l.Msg == msg {
				addr = l.Addr
			}
		}
		return addr != "", err
	})
	return addr, err
}

var errTooLate = errors.New("timed out")

// until calls done every 10 ms until it returns true.
func until(ctx context.Context, within time.Duration, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, errTooLate)
	defer cancel()
	for {
		if yes, err := done(); yes || err != nil {
			return err
		}
		if err := loop.Pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}
