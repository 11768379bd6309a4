package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// bench is one run.
type bench struct {
	options

	began    time.Time
	work     string // folder of this run's logs and tokens
	procs    processes
	rows     []*row
	tokens   string // prefix of the files of tokens, one a thread of wrk
	shoppers int
	fast     *system
	strict   *system
	mysql8   *system
	pongURL  string
	pong     *process

	foreign []float64
	machine machine
	audited int   // sales
	orders  int64 // in them
}

func (b *bench) sayf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench     %4.0f s  "+format+"\n", append([]any{time.Since(b.began).Seconds()}, args...)...)
}

// newBench starts what every row needs: pong and the system.
func newBench(ctx context.Context, o options) (*bench, error) {
	b := &bench{options: o, began: time.Now(), procs: processes{pids: map[int]string{}, ended: map[string]time.Duration{}}, work: filepath.Join(o.dir, "work")}
	for _, r := range allRows() {
		if o.rows[r.name] {
			b.rows = append(b.rows, r)
		}
	}
	for _, dir := range []string{b.work, b.out, b.profiles} {
		if dir == "" {
			continue
		}
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return nil, err
		}
	}
	err := b.setUp(ctx)
	if err != nil {
		b.close()
	}
	return b, err
}

func (b *bench) setUp(ctx context.Context) error {
	srv, err := b.openServers(ctx, b.dir, "")
	if err != nil {
		return err
	}
	if b.machine, err = lookAtMachine(ctx, b.dir, srv); err != nil {
		return err
	}
	if b.fast, err = b.newSystem(ctx, "fast", srv, srv.env["SECKILL_MYSQL_DSN"]); err != nil {
		return err
	}
	if err := b.startPong(ctx); err != nil {
		return err
	}
	return b.makeTokens(ctx)
}

// close ends what was started, and says what did not end in order.
func (b *bench) close() {
	_ = b.pong.stop() // it does not end in order
	if err := errors.Join(b.fast.close(), b.strict.close(), b.mysql8.close()); err != nil {
		b.sayf("%v", err)
	}
	for i := range b.threads {
		_ = os.Remove(b.tokens + strconv.Itoa(i))
	}
}

// row returns a row that is to be measured, or nil.
func (b *bench) row(name string) *row {
	for _, r := range b.rows {
		if r.name == name {
			return r
		}
	}
	return nil
}

// wants tells whether one of the rows still lacks a round.
func (b *bench) wants(names ...string) bool {
	for _, n := range names {
		if r := b.row(n); r != nil && len(r.ours) < b.rounds {
			return true
		}
	}
	return false
}

// add gives a round to a row if it is to be measured.
func (b *bench) add(name string, ours, base sample) {
	if r := b.row(name); r != nil {
		r.add(ours, base, b.disturbed(ours, base))
	}
}

// measure measures everything that was asked for.
func (b *bench) measure(ctx context.Context) error {
	if err := b.warmUp(ctx); err != nil {
		return err
	}
	// Half as many again may be spoilt by others.
	for i := range b.rounds + (b.rounds+1)/2 {
		if !b.wants(roundRows...) {
			break
		}
		if err := b.quiet(ctx); err != nil {
			return err
		}
		b.sayf("round %d of %d", i+1, b.rounds)
		if err := b.round(ctx, i); err != nil {
			return err
		}
	}
	return nil
}
