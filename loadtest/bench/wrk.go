package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
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

// startPong starts the yardstick as a process of its own, like the API.
func (b *bench) startPong(ctx context.Context) (err error) {
	b.pong, b.pongURL, err = b.startOwn(ctx, "pong")
	return err
}

// startOwn starts this program as another one, which counts what it gets.
func (b *bench) startOwn(ctx context.Context, name string) (*process, string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, "", err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	p, err := b.start(ctx, name, os.Environ(), self, name, addr)
	if err != nil {
		return nil, "", err
	}
	url := "http://" + addr
	return p, url, until(ctx, startWithin, func() (bool, error) {
		_, err := get(ctx, url+"/count")
		return err == nil, nil
	})
}

// ponged counts the answers of pong.
func (b *bench) ponged(ctx context.Context) (float64, error) { return counted(ctx, b.pongURL) }

func counted(ctx context.Context, url string) (float64, error) {
	text, err := get(ctx, url+"/count")
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(text, 64)
}

// pongs is pong that gets the very requests that ours gets.
func (b *bench) pongs(conns int) target {
	return target{
		url: b.pongURL, counts: []counter{b.ponged}, conns: conns, sales: []string{"1"},
		idle: func(context.Context) (bool, error) { return true, nil }, // in a few milliseconds
	}
}

// yardstick returns the load on pong, which stands still. There is one for each
// number of connections, until the end.
func (b *bench) yardstick(ctx context.Context, conns int) (*generator, error) {
	if g := b.yards[conns]; g != nil {
		return g, nil
	}
	t := b.pongs(conns)
	g, err := b.running(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("pong: %w", err)
	}
	b.yards[conns] = g
	return g, b.rest(ctx, t, g)
}

// firstTokens are for the first look at what the machine can do.
const firstTokens = 20_000

// makeTokens measures what wrk and pong do together, plainly and with the
// requests of shoppers, and makes as many tokens as the fastest row may use.
func (b *bench) makeTokens(ctx context.Context) error {
	get, err := b.steady(ctx, target{url: b.pongURL + "/", counts: []counter{b.ponged}, conns: 256})
	if err != nil {
		return err
	}
	b.tokens = filepath.Join(b.work, "tokens.")
	if err := b.signTokens(ctx, firstTokens); err != nil {
		return err
	}
	post, err := b.steady(ctx, b.pongs(256))
	if err != nil {
		return err
	}
	b.machine.GetPong, b.machine.PostPong = get.rate, post.rate
	b.sayf("pong answers %.0f plain GET and %.0f purchases a second: what wrk can ask for", get.rate, post.rate)
	// Orders come at half of pong's rate; the rest is for a machine that was slow when
	// it was looked at.
	return b.signTokens(ctx, int(max(get.rate, post.rate)*(b.warm+b.seconds).Seconds())+firstTokens)
}

// signTokens makes the tokens of n shoppers, a file for each thread of wrk.
func (b *bench) signTokens(ctx context.Context, n int) error {
	out, err := b.fast.run(ctx, "", "token", "--shoppers", strconv.Itoa(n))
	if err != nil {
		return err
	}
	files := make([]*bufio.Writer, b.threads)
	for i := range files {
		f, err := os.OpenFile(b.tokens+strconv.Itoa(i), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		defer f.Close()
		files[i] = bufio.NewWriterSize(f, 1<<20)
	}
	i := 0
	for token := range strings.Lines(out) {
		if _, err := files[i%len(files)].WriteString(token); err != nil {
			return err
		}
		i++
	}
	for _, f := range files {
		if err := f.Flush(); err != nil {
			return fmt.Errorf("tokens: %w", err)
		}
	}
	b.shoppers = n
	return nil
}
