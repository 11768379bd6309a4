package main

import (
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

	"seckill/loadtest/scrape"

	"golang.org/x/sys/unix"
)

//go:embed purchase.lua
var purchaseLua []byte

// generator is a running wrk.
type generator struct {
	*process

	out bytes.Buffer
}

// wrk starts the load generator for d, or until end. With sales, each request is a
// purchase by another shopper; without, it gets url.
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
	g := &generator{}
	c := exec.CommandContext(ctx, "wrk", args...) // SIGKILL when ctx ends: a stopped process handles no other signal
	c.Stdout, c.Stderr = &g.out, &g.out
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var err error
	g.process, err = b.launch("wrk", c)
	return g, err
}

func (g *generator) signal(s syscall.Signal) error {
	if err := g.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("wrk: %w", err)
	}
	return nil
}

// kill ends it at once and waits until it has exited.
func (g *generator) kill() {
	_ = g.signal(syscall.SIGKILL)
	<-g.done
}

// end ends it early and reads its report.
func (g *generator) end() (wrkReport, error) {
	_ = g.signal(syscall.SIGCONT)
	// Its first thread sleeps until the end; a signal to another thread would not wake it.
	_ = unix.Tgkill(g.pid, g.pid, unix.SIGINT) // if it has exited, wait returns the reason
	return g.wait()
}

// wrkReport is what wrk reports in the end.
type wrkReport struct {
	requests int64
	not2xx   int64
	errors   int64 // of sockets, and responses that took longer than 10 s
	p99      time.Duration
}

var reportRE = regexp.MustCompile(`(?s)\s99%\s+(\S+).*?\s(\d+) requests in ` +
	`(?:.*?Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+))?(?:.*?Non-2xx or 3xx responses: (\d+))?`)

// wait waits until wrk has exited, and reads its report.
func (g *generator) wait() (wrkReport, error) {
	<-g.done
	m := reportRE.FindStringSubmatch(g.out.String())
	if g.err != nil || m == nil {
		return wrkReport{}, fmt.Errorf("wrk: %w: %s", g.err, g.out.String())
	}
	p99, _ := time.ParseDuration(m[1]) // such as 812.00us or 1.25s
	var n [8]int64
	for i := 2; i < len(m); i++ {
		n[i], _ = strconv.ParseInt(m[i], 10, 64) // 0 if it is not in the report
	}
	return wrkReport{requests: n[2], errors: n[3] + n[4] + n[5] + n[6], not2xx: n[7], p99: p99}, nil
}

// startPong starts pong as a process of its own, like the API.
func (b *bench) startPong(ctx context.Context) (err error) {
	_, b.pongURL, err = b.startOwn(ctx, "pong")
	return err
}

// startOwn starts this program in another role, which counts its requests.
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
	b.onClose(func() error {
		_ = p.stop() // it has no orderly end
		return nil
	})
	url := "http://" + addr
	return p, url, until(ctx, startWithin, func() (bool, error) {
		_, err := scrape.Get(ctx, url+"/count")
		return err == nil, nil
	})
}

// ponged returns how many requests pong has answered.
func (b *bench) ponged(ctx context.Context) (float64, error) { return counted(ctx, b.pongURL) }

func counted(ctx context.Context, url string) (float64, error) {
	text, err := scrape.Get(ctx, url+"/count")
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(text, 64)
}

// pongs is pong with the same requests that ours gets.
func (b *bench) pongs(conns int) target {
	return target{
		url: b.pongURL, counts: []counter{b.ponged}, conns: conns, sales: []string{"1"},
		idle: func(context.Context) (bool, error) { return true, nil }, // in a few milliseconds
	}
}

// pongLoad returns the load on pong, stopped. There is one for each number of
// connections, until the end.
func (b *bench) pongLoad(ctx context.Context, conns int) (*generator, error) {
	if g := b.pongLoads[conns]; g != nil {
		return g, nil
	}
	t := b.pongs(conns)
	g, err := b.running(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("pong: %w", err)
	}
	b.pongLoads[conns] = g
	return g, b.rest(ctx, t, g)
}

// firstTokens are for the first measurement of pong.
const firstTokens = 20_000

// makeTokens measures pong with plain GETs and with purchases, and makes as many
// tokens as the fastest row may use.
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
	b.result.Machine.GetPong, b.result.Machine.PostPong = get.rate, post.rate
	b.sayf("pong answers %.0f plain GET and %.0f purchases per second: what wrk can send", get.rate, post.rate)
	// Orders arrive at half of pong's rate; the rest is a reserve, in case the machine
	// was slow just now.
	return b.signTokens(ctx, int(max(get.rate, post.rate)*(b.warm+b.seconds).Seconds())+firstTokens)
}

// signTokens makes the tokens of n shoppers, a file for each thread of wrk.
func (b *bench) signTokens(ctx context.Context, n int) error {
	out, err := b.fast.run(ctx, "", "token", "--shoppers", strconv.Itoa(n))
	if err != nil {
		return err
	}
	files := make([]bytes.Buffer, b.threads)
	next := 0
	for token := range strings.Lines(out) {
		files[next%b.threads].WriteString(token)
		next++
	}
	for i := range files {
		if err := os.WriteFile(b.tokens+strconv.Itoa(i), files[i].Bytes(), 0o600); err != nil {
			return err
		}
	}
	b.shoppers = n
	return nil
}
