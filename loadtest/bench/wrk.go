package main

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

//go:embed purchase.lua
var purchaseLua []byte

// generator is a running wrk.
type generator struct {
	cmd  *exec.Cmd
	out  bytes.Buffer
	done chan struct{}
	err  error
}

// wrk starts the load generator for d, or until end. With sales it buys from them,
// each request a shopper of its own; without, it gets url.
func (b *bench) wrk(ctx context.Context, url string, conns int, d time.Duration, sales ...string) (*generator, error) {
	args := []string{
		"--threads", strconv.Itoa(b.threads), "--connections", strconv.Itoa(conns),
		"--duration", strconv.Itoa(int(math.Ceil(d.Seconds()))) + "s", "--timeout", "10s", "--latency",
	}
	if len(sales) > 0 {
		script := filepath.Join(b.work, "purchase.lua")
		if err := os.WriteFile(script, purchaseLua, 0o600); err != nil {
			return nil, err
		}
		args = append(args, "--script", script, url, "--", b.tokens, strconv.Itoa(b.shoppers/b.threads))
		args = append(args, sales...)
	} else {
		args = append(args, url)
	}
	g := &generator{done: make(chan struct{})}
	g.cmd = exec.CommandContext(ctx, "wrk", args...) // kills it when ctx ends: one that stands still hears nothing else
	g.cmd.Stdout, g.cmd.Stderr = &g.out, &g.out
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := g.cmd.Start(); err != nil {
		return nil, fmt.Errorf("wrk: %w", err)
	}
	b.procs.add(g.cmd.Process.Pid, "wrk")
	go func() {
		defer close(g.done)
		g.err = g.cmd.Wait()
		b.procs.remove(g.cmd.ProcessState)
	}()
	return g, nil
}

func (g *generator) signal(s syscall.Signal) error {
	if err := g.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("wrk: %w", err)
	}
	return nil
}

// kill ends it, whatever it does, and waits until it has ended.
func (g *generator) kill() {
	_ = g.signal(syscall.SIGKILL)
	<-g.done
}

// end ends it before its time, and reads what it says.
func (g *generator) end() (heard, error) {
	_ = g.signal(syscall.SIGCONT)
	// Its first thread sleeps until the end; another one that got the signal would not wake it.
	pid := g.cmd.Process.Pid
	_ = unix.Tgkill(pid, pid, unix.SIGINT) // one that has ended says why
	return g.wait()
}

// heard is what wrk says of its answers.
type heard struct {
	requests int64
	not2xx   int64
	errors   int64 // of sockets, and answers that did not come within 10 s
	p50, p99 time.Duration
}

var (
	requestsRE = regexp.MustCompile(`(?m)^\s+(\d+) requests in `)
	not2xxRE   = regexp.MustCompile(`Non-2xx or 3xx responses: (\d+)`)
	errorsRE   = regexp.MustCompile(`Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)`)
	p50RE      = regexp.MustCompile(`(?m)^\s+50%\s+(\S+)`)
	p99RE      = regexp.MustCompile(`(?m)^\s+99%\s+(\S+)`)
)

// wait waits until wrk has ended, and reads what it says.
func (g *generator) wait() (heard, error) {
	<-g.done
	text := g.out.String()
	m := requestsRE.FindStringSubmatch(text)
	if g.err != nil || m == nil {
		return heard{}, fmt.Errorf("wrk: %w: %s", g.err, text)
	}
	var h heard
	h.requests, _ = strconv.ParseInt(m[1], 10, 64)
	if m := not2xxRE.FindStringSubmatch(text); m != nil {
		h.not2xx, _ = strconv.ParseInt(m[1], 10, 64)
	}
	if m := errorsRE.FindStringSubmatch(text); m != nil {
		for _, s := range m[1:] {
			n, _ := strconv.ParseInt(s, 10, 64)
			h.errors += n
		}
	}
	h.p50, h.p99 = latency(p50RE, text), latency(p99RE, text)
	return h, nil
}

// latency reads a time such as 812.00us or 1.25s.
func latency(re *regexp.Regexp, text string) time.Duration {
	m := re.FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	d, _ := time.ParseDuration(m[1])
	return d
}
