package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"seckill/internal/loop"
)

// sample is one measurement.
type sample struct {
	rate    float64                  // units a second
	units   float64                  // requests or orders in it
	took    time.Duration            // of the measuring
	cpu     map[string]time.Duration // by process
	foreign float64                  // cores that others used meanwhile
	pong    *sample                  // of pong, if it was measured in turns with it
	toPong  float64                  // rate relative to pong's, median of the turns
	heard   wrkReport
}

// plus adds another turn of the same measurement.
func (s sample) plus(next sample) sample {
	s.units += next.units
	s.foreign = (s.foreign*s.took.Seconds() + next.foreign*next.took.Seconds()) / (s.took + next.took).Seconds()
	s.took += next.took
	s.rate = s.units / s.took.Seconds()
	cpu := maps.Clone(next.cpu)
	for name, d := range s.cpu {
		cpu[name] += d
	}
	s.cpu = cpu
	return s
}

// baseline is pong's part of a measurement in turns.
func (s sample) baseline() sample {
	pong := *s.pong
	pong.toPong = 1
	return pong
}

// cpuPerUnit is in microseconds.
func (s sample) cpuPerUnit() map[string]float64 {
	us := make(map[string]float64, len(s.cpu))
	for name, d := range s.cpu {
		if s.units > 0 && d > 0 {
			us[name] = float64(d.Microseconds()) / s.units
		}
	}
	return us
}

// meter measures CPU time since its start.
type meter struct {
	b            *bench
	began        time.Time
	machine, own time.Duration
	each         map[int]time.Duration
	ended        map[string]time.Duration
	names        map[int]string
}

func (b *bench) meter() *meter {
	m := &meter{b: b, began: time.Now(), own: ownCPU(), each: map[int]time.Duration{}}
	m.machine, _ = machineCPU()
	m.names, m.ended = b.procs.all()
	for pid := range m.names {
		m.each[pid], _ = processCPU(pid)
	}
	return m
}

// read returns the CPU time of each of our processes since the start, and how
// many cores others used.
func (m *meter) read() (cpu map[string]time.Duration, foreign float64) {
	machine, _ := machineCPU()
	cpu = map[string]time.Duration{}
	pids, ended := m.b.procs.all()
	own := ownCPU() - m.own // including children that have exited
	for name, total := range ended {
		cpu[name] += total - m.ended[name]
		own -= total - m.ended[name]
	}
	for pid, name := range m.names {
		if _, still := pids[pid]; !still {
			cpu[name] -= m.each[pid] // used before the start
			own += m.each[pid]
		}
	}
	for pid, name := range pids {
		if now, err := processCPU(pid); err == nil {
			cpu[name] += now - m.each[pid]
		}
	}
	cpu["bench"] = own
	foreign = (machine - m.machine).Seconds()
	for _, d := range cpu {
		foreign -= d.Seconds()
	}
	return cpu, max(0, foreign/time.Since(m.began).Seconds())
}

// counter reads how many requests or orders were handled.
type counter func(ctx context.Context) (float64, error)

// target is what is measured, and how.
type target struct {
	url    string
	counts []counter // the one that grows least is the result
	conns  int
	sales  []string
	// inTurns measures it in turns with pong. A turn ends when the target is idle:
	// when everything that was requested is done.
	inTurns bool
	idle    func(ctx context.Context) (bool, error)
	beside  func(ctx context.Context, over <-chan struct{}) error // runs in each of its turns until over is closed; may be nil
	profile func(ctx context.Context) error                       // runs all the time; may be nil
}

const (
	// oneTurn is how long the target runs at a time. The speed of a shared machine
	// changes by the second: turns within the same seconds see the same machine.
	oneTurn = time.Second
	// oncePong is pong's turn; its rate varies less.
	oncePong = oneTurn / 2
	ramp     = 200 * time.Millisecond // until a resumed load is steady
	mostLoad = 24 * time.Hour         // unless it is ended before
	// restWithin is how long the end of a turn may take: wrk gives up requests after 10 s.
	restWithin = 8 * time.Second
)

// lasting shortens measurements to d until the returned function is called.
func (b *bench) lasting(d time.Duration) func() {
	before := b.seconds
	b.seconds = min(before, d)
	return func() { b.seconds = before }
}

// steady loads a target with wrk and measures once the load is steady: wrk's own
// figures start before all of its threads do.
func (b *bench) steady(ctx context.Context, t target) (s sample, err error) {
	var pong *generator
	if t.inTurns {
		if pong, err = b.pongLoad(ctx, t.conns); err != nil {
			return s, err
		}
	}
	g, err := b.running(ctx, t)
	if err != nil {
		return s, err
	}
	var beside errgroup.Group
	if t.profile != nil {
		beside.Go(func() error { return t.profile(ctx) })
	}
	if t.inTurns {
		s, err = b.inTurns(ctx, t, g, pong)
	} else {
		s, err = b.look(ctx, t, b.seconds)
	}
	report, werr := g.end()
	if err := errors.Join(err, beside.Wait(), werr); err != nil {
		return s, err
	}
	s.heard = report
	if report.errors > report.requests/1000 {
		return s, fmt.Errorf("%d of %d requests got no response: %s", report.errors, report.requests, t.url)
	}
	return s, nil
}

// running starts the load on a target, and waits until it has started and warmed up.
func (b *bench) running(ctx context.Context, t target) (*generator, error) {
	before, err := t.count(ctx)
	if err != nil {
		return nil, err
	}
	g, err := b.wrk(ctx, t.url, t.conns, mostLoad, t.sales...)
	if err != nil {
		return nil, err
	}
	err = until(ctx, startWithin, func() (bool, error) {
		select {
		case <-g.done:
			return false, fmt.Errorf("wrk ended at once: %s", g.out.String())
		default:
		}
		now, err := t.count(ctx)
		return err == nil && least(before, now) > 0, err
	})
	if err == nil {
		err = loop.Pause(ctx, b.warm)
	}
	if err != nil {
		g.kill()
		return nil, err
	}
	return g, nil
}

// inTurns measures a target and pong in turns. The load on one is stopped during
// the turn of the other.
func (b *bench) inTurns(ctx context.Context, t target, g, pong *generator) (ours sample, err error) {
	if err := b.rest(ctx, t, g); err != nil {
		return ours, err
	}
	var theirs sample
	var ratios []float64
	for range int(b.seconds / oneTurn) {
		p, err := b.turn(ctx, b.pongs(t.conns), pong, oncePong)
		if err != nil {
			return ours, fmt.Errorf("pong: %w", err)
		}
		s, err := b.turn(ctx, t, g, oneTurn)
		if err != nil {
			return ours, err
		}
		ours, theirs, ratios = ours.plus(s), theirs.plus(p), append(ratios, s.rate/p.rate)
	}
	ours.pong, ours.toPong = &theirs, median(ratios)
	return ours, nil
}

// turn resumes a stopped load, measures it, and stops it again.
func (b *bench) turn(ctx context.Context, t target, g *generator, d time.Duration) (sample, error) {
	if err := g.signal(syscall.SIGCONT); err != nil {
		return sample{}, err
	}
	if err := loop.Pause(ctx, ramp); err != nil {
		return sample{}, err
	}
	s, err := b.look(ctx, t, d)
	if err == nil && s.units == 0 {
		err = errors.New("nothing was done in a turn")
	}
	if err != nil {
		return s, err
	}
	return s, b.rest(ctx, t, g)
}

// rest stops a load, and waits until everything it requested is done.
func (b *bench) rest(ctx context.Context, t target, g *generator) error {
	if err := g.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	if err := until(ctx, restWithin, func() (bool, error) { return t.idle(ctx) }); err != nil {
		return fmt.Errorf("waiting for the end of a turn: %w", err)
	}
	return nil
}

// look measures a target under load for d.
func (b *bench) look(ctx context.Context, t target, d time.Duration) (sample, error) {
	first, err := t.count(ctx)
	if err != nil {
		return sample{}, err
	}
	m, began := b.meter(), time.Now()
	var beside errgroup.Group
	over := make(chan struct{})
	if t.beside != nil {
		beside.Go(func() error { return t.beside(ctx, over) })
	}
	err = loop.Pause(ctx, d)
	close(over)
	if err := errors.Join(err, beside.Wait()); err != nil {
		return sample{}, err
	}
	last, err := t.count(ctx)
	s := sample{units: least(first, last), took: time.Since(began)}
	s.rate = s.units / s.took.Seconds()
	s.cpu, s.foreign = m.read()
	return s, err
}

// repeat lets so many workers repeat do, and measures after the warm-up how many
// units they do; all counts those of the warm-up too.
func (b *bench) repeat(ctx context.Context, workers int, warm time.Duration, do func(context.Context) (units int, err error)) (s sample, all int64, err error) {
	var done atomic.Int64
	var over atomic.Bool
	g, ctx := errgroup.WithContext(ctx)
	for range workers {
		g.Go(func() error {
			for !over.Load() {
				n, err := do(ctx)
				if err != nil {
					return err
				}
				done.Add(int64(n))
			}
			return nil
		})
	}
	err = loop.Pause(ctx, warm)
	m, first, began := b.meter(), done.Load(), time.Now()
	err = errors.Join(err, loop.Pause(ctx, b.seconds))
	over.Store(true)
	err = cmp.Or(g.Wait(), err)
	all = done.Load()
	s.units = float64(all - first)
	s.rate = s.units / time.Since(began).Seconds()
	s.cpu, s.foreign = m.read()
	return s, all, err
}

func (t target) count(ctx context.Context) ([]float64, error) {
	now := make([]float64, len(t.counts))
	for i, count := range t.counts {
		var err error
		if now[i], err = count(ctx); err != nil {
			return nil, err
		}
	}
	return now, nil
}

// least is the growth of the counter that grew least.
func least(first, last []float64) float64 {
	grown := make([]float64, len(first))
	for i := range first {
		grown[i] = last[i] - first[i]
	}
	return slices.Min(grown)
}

const (
	// foreignCores is how many cores others may use: 5 % of two.
	foreignCores = 0.10
	quietWithin  = 10 * time.Minute
)

// quiet waits for two seconds in which others do not use the machine.
func (b *bench) quiet(ctx context.Context) error {
	if b.noWait {
		return nil
	}
	deadline := time.Now().Add(quietWithin)
	for said := false; ; {
		m := b.meter()
		if err := loop.Pause(ctx, 2*time.Second); err != nil {
			return err
		}
		_, foreign := m.read()
		if foreign <= foreignCores {
			return nil
		}
		if !said {
			b.sayf("others use %.1f cores: waiting for an idle machine (--no-idle-wait does not)", foreign)
			said = true
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the machine was not idle for %s: others use %.1f cores", quietWithin, foreign)
		}
	}
}

// disturbed tells whether a measurement is worthless because others used the
// machine.
func (b *bench) disturbed(ss ...sample) bool {
	bad := false
	for _, s := range ss {
		if s.pong != nil {
			bad = b.disturbed(*s.pong) || bad
		}
		b.foreign = append(b.foreign, s.foreign)
		bad = bad || s.foreign > foreignCores
	}
	return bad && !b.noWait
}
