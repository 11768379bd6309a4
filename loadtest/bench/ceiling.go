package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

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
