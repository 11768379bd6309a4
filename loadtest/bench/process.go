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

// processes are the programs that were started here and still run, and the
// servers that run for us, by PID: whatever else uses the CPU is foreign.
type processes struct {
	mu    sync.Mutex
	pids  map[int]string
	ended map[string]time.Duration // CPU time of those that have ended, by name
}

func (p *processes) add(pid int, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pids[pid] = name
}

// remove is told of a child that has ended.
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

// process is a program that was started here.
type process struct {
	name string
	pid  int
	log  string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error
}

// start runs a program, its output in a log; ctx's end stops it in order.
func (b *bench) start(ctx context.Context, name string, env []string, path string, args ...string) (*process, error) {
	p := &process{name: name, log: filepath.Join(b.work, name+".log"), done: make(chan struct{})}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.cmd = exec.CommandContext(ctx, path, args...)
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = env, out, out
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = stopWithin
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p.pid = p.cmd.Process.Pid
	role, _, _ := strings.Cut(name, "-")
	b.procs.add(p.pid, role)
	go func() {
		defer close(p.done)
		p.err = p.cmd.Wait()
		b.procs.remove(p.cmd.ProcessState)
	}()
	return p, nil
}

// stop ends the process in order and waits for it.
func (p *process) stop() error {
	if p == nil {
		return nil
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // ended already: done says so
	select {
	case <-p.done:
	case <-time.After(stopWithin):
		_ = p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("%s did not end within %s", p.name, stopWithin)
	}
	if p.err != nil {
		return fmt.Errorf("%s: %w; see %s", p.name, p.err, p.log)
	}
	return nil
}

// address waits for the line of the log that says where the process listens.
func (p *process) address(ctx context.Context, msg string) (string, error) {
	var addr string
	err := until(ctx, startWithin, func() (bool, error) {
		select {
		case <-p.done:
			return false, fmt.Errorf("%s ended: %w; see %s", p.name, p.err, p.log)
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

var errTooLate = errors.New("not within the time given")

// until asks every 10 ms whether it is so.
func until(ctx context.Context, within time.Duration, so func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, errTooLate)
	defer cancel()
	for {
		if yes, err := so(); yes || err != nil {
			return err
		}
		if err := loop.Pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}
