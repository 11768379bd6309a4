package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// bench is one run.
type bench struct {
	options

	began      time.Time
	work       string // folder of this run's logs and tokens
	procs      processes
	rows       []*row
	tokens     string // prefix of the files of tokens, one a thread of wrk
	shoppers   int
	fast       *system
	strict     *system
	mysql8     *system
	traced     *traced
	withEvents *publishing
	shop       *shop
	pongURL    string
	closers    []func() error
	pongLoads  map[int]*generator // by their number of connections

	foreign []float64
	result  result
}

func (b *bench) sayf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench     %4.0f s  "+format+"\n", append([]any{time.Since(b.began).Seconds()}, args...)...)
}

// newBench starts everything that the rows need.
func newBench(ctx context.Context, o options) (*bench, error) {
	b := &bench{options: o, began: time.Now(), procs: processes{pids: map[int]string{}, ended: map[string]time.Duration{}}, work: filepath.Join(o.dir, "work"), pongLoads: map[int]*generator{}}
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
	srv, err := b.openServers(ctx, b.dir)
	if err != nil {
		return err
	}
	if b.result.Machine, err = describeMachine(ctx, b.dir, srv); err != nil {
		return err
	}
	if b.fast, err = b.newSystem(ctx, "fast", srv, srv.dsn()); err != nil {
		return err
	}
	for _, part := range []struct {
		wanted bool
		start  func(context.Context, *servers) error
	}{
		{b.wants("strict"), b.startStrict},
		{b.wants("tracing"), b.startTraced},
		{b.wants("settled_256_events"), b.startPublishing},
		{b.wants("drain_tx", "drain_bulk"), b.startShop},
	} {
		if !part.wanted {
			continue
		}
		if err := part.start(ctx, srv); err != nil {
			return err
		}
	}
	if err := b.startPong(ctx); err != nil {
		return err
	}
	return b.makeTokens(ctx)
}

func (b *bench) startStrict(ctx context.Context, _ *servers) error {
	srv, err := b.openServers(ctx, filepath.Join(b.dir, "strict"))
	if err == nil {
		b.strict, err = b.newSystem(ctx, "strict", srv, srv.dsn())
	}
	return err
}

func (b *bench) startShop(ctx context.Context, srv *servers) (err error) {
	b.shop, err = b.newShop(ctx, "mariadb", srv.dsn())
	return err
}

// onClose adds a function that close calls.
func (b *bench) onClose(f func() error) { b.closers = append(b.closers, f) }

// close stops what was started, and reports what did not stop in order.
func (b *bench) close() {
	if b.fast != nil {
		b.thaw(b.others())
	}
	for _, g := range b.pongLoads {
		g.kill()
	}
	for _, f := range slices.Backward(b.closers) {
		if err := f(); err != nil {
			b.sayf("%v", err)
		}
	}
	for i := range b.threads {
		_ = os.Remove(b.tokens + strconv.Itoa(i))
	}
}

// row returns a row to be measured, or nil.
func (b *bench) row(name string) *row {
	for _, r := range b.rows {
		if r.name == name {
			return r
		}
	}
	return nil
}

// wants tells whether one of the rows needs another round.
func (b *bench) wants(names ...string) bool {
	for _, n := range names {
		if r := b.row(n); r != nil && len(r.ours) < b.rounds {
			return true
		}
	}
	return false
}

// add adds a round to a row, if the row is to be measured.
func (b *bench) add(name string, ours, base sample) {
	if r := b.row(name); r != nil {
		r.add(ours, base, b.disturbed(ours, base))
	}
}

// measure measures all rows that were selected.
func (b *bench) measure(ctx context.Context) error {
	if err := b.warmUp(ctx); err != nil {
		return err
	}
	b.freeze(b.others())
	// Up to half as many may be dropped because others used the machine.
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
	return b.measureRest(ctx)
}

// measureRest measures what is not measured in rounds.
func (b *bench) measureRest(ctx context.Context) error {
	parts := []struct {
		name    string
		wanted  bool
		measure func() error
	}{
		{"drain_tx_mysql8", b.wants("drain_tx_mysql8"), func() error { return b.onMySQL8(ctx) }},
		{"results", b.wants("idle_p50_ms", "result_p50_ms", "result_p99_ms"), func() error { return b.results(ctx) }},
		{"spike", b.options.rows["spike"], func() (err error) { b.result.Spike, err = b.spiking(ctx); return err }},
		{"memory", b.options.rows["memory"], func() (err error) { b.result.Memory, err = b.remembering(ctx); return err }},
		{"growth", b.options.rows["growth"], func() (err error) { b.result.Growth, err = b.growing(ctx); return err }},
		{"allocs", b.options.rows["allocs"], func() (err error) { b.result.Allocs, err = b.allocating(ctx); return err }},
	}
	var failed error
	for _, p := range parts {
		if !p.wanted {
			continue
		}
		if err := b.quiet(ctx); err != nil {
			return errors.Join(failed, err)
		}
		b.sayf("%s", p.name)
		if err := p.measure(); err != nil { // the other parts are still useful
			failed = errors.Join(failed, fmt.Errorf("%s: %w", p.name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return failed
}
