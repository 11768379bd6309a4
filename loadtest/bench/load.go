package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"syscall"
	"time"

	"seckill/internal/loop"
)

// sample is one measurement.
type sample struct {
	rate    float64                  // units a second
	units   float64                  // requests or orders in it
	took    time.Duration            // of the measuring
	cpu     map[string]time.Duration // by process
	foreign float64                  // cores that others used meanwhile
	pong    *sample                  // pong's, measured in turns with it; nil: it was not
	toPong  float64                  // the rate to pong's, the median of the turns
	heard   heard
}

// plus puts two turns of one measurement together.
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

// yard is the baseline of a row that is compared with pong.
func (s sample) yard() sample {
	y := *s.pong
	y.toPong = 1
	return y
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

// meter knows what the CPUs did since it was started.
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
	own := ownCPU() - m.own // with every child that has ended
	for name, total := range ended {
		cpu[name] += total - m.ended[name]
		own -= total - m.ended[name]
	}
	for pid, name := range m.names {
		if _, still := pids[pid]; !still {
			cpu[name] -= m.each[pid] // what it had used before
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

// counter counts what a measurement is about: answers, orders.
type counter func(ctx context.Context) (float64, error)

// target is who is measured, and by what.
type target struct {
	url    string
	counts []counter // what grows the least counts
	conns  int
	sales  []string
	// inTurns has it measured in turns with pong, which come when it is idle: when
	// nothing is left to do of what was asked for.
	inTurns bool
	idle    func(ctx context.Context) (bool, error)
	beside  func(ctx context.Context, over <-chan struct{}) error // runs in each of its turns until over is closed; may be nil
	profile func(ctx context.Context) error                       // runs all the time; may be nil
}

const (
	// oneTurn is how long ours and pong run without the other. A machine that is
	// shared with others is faster and slower by the second: what runs in the same
	// seconds has the same machine.
	oneTurn = time.Second
	// oncePong is pong's turn: its rate is steadier.
	oncePong = oneTurn / 2
	ramp     = 200 * time.Millisecond // until a load that stood still is steady
	mostLoad = 24 * time.Hour         // if nobody ends it
	// restWithin is how long the end of a turn may take: wrk gives up requests after 10 s.
	restWithin = 8 * time.Second
)

// lasting has measurements take so long until the function it returns is called.
func (b *bench) lasting(d time.Duration) func() {
	before := b.seconds
	b.seconds = min(before, d)
	return func() { b.seconds = before }
}

// steady drives a target with wrk and measures when it runs steadily: wrk's own
// figures begin before all of its threads do.
func (b *bench) steady(ctx context.Context, t target) (s sample, err error) {
	var pong *generator
	if t.inTurns {
		if pong, err = b.yardstick(ctx, t.conns); err != nil {
			return s, err
		}
	}
	g, err := b.running(ctx, t)
	if err != nil {
		return s, err
	}
	profiled := make(chan error, 1)
	go func() {
		if t.profile == nil {
			profiled <- nil
			return
		}
		profiled <- t.profile(ctx)
	}()
	if t.inTurns {
		s, err = b.inTurns(ctx, t, g, pong)
	} else {
		s, err = b.look(ctx, t, b.seconds)
	}
	heard, werr := g.end()
	if err := errors.Join(err, <-profiled, werr); err != nil {
		return s, err
	}
	s.heard = heard
	if heard.errors > heard.requests/1000 {
		return s, fmt.Errorf("%d of %d requests had no answer: %s", heard.errors, heard.requests, t.url)
	}
	return s, nil
}

// running starts the load on a target and waits until it has begun and warmed up.
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

// inTurns measures a target and pong in turns, whose loads stand still while it
// is the other's turn.
func (b *bench) inTurns(ctx context.Context, t target, g, pong *generator) (ours sample, err error) {
	if err := b.rest(ctx, t, g); err != nil {
		return ours, err
	}
	var yard sample
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
		ours, yard, ratios = ours.plus(s), yard.plus(p), append(ratios, s.rate/p.rate)
	}
	ours.pong, ours.toPong = &yard, median(ratios)
	return ours, nil
}

// turn lets a load that stands still run, measures it, and has it stand still
// again.
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

// rest stops a load, and waits until what it has asked for is done.
func (b *bench) rest(ctx context.Context, t target, g *generator) error {
	if err := g.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	if err := until(ctx, restWithin, func() (bool, error) { return t.idle(ctx) }); err != nil {
		return fmt.Errorf("waiting for the end of a turn: %w", err)
	}
	return nil
}

// look measures a target that is under load.
func (b *bench) look(ctx context.Context, t target, d time.Duration) (sample, error) {
	first, err := t.count(ctx)
	if err != nil {
		return sample{}, err
	}
	m, began := b.meter(), time.Now()
	over, beside := make(chan struct{}), make(chan error, 1)
	go func() {
		if t.beside == nil {
			beside <- nil
			return
		}
		beside <- t.beside(ctx, over)
	}()
	err = loop.Pause(ctx, d)
	close(over)
	if err := errors.Join(err, <-beside); err != nil {
		return sample{}, err
	}
	last, err := t.count(ctx)
	s := sample{units: least(first, last), took: time.Since(began)}
	s.rate = s.units / s.took.Seconds()
	s.cpu, s.foreign = m.read()
	return s, err
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

// least is by how much the counter that grew the least has grown.
func least(first, last []float64) float64 {
	grown := make([]float64, len(first))
	for i := range first {
		grown[i] = last[i] - first[i]
	}
	return slices.Min(grown)
}

const (
	// foreignCores is how much of a core others may use: 5 % of two cores.
	foreignCores = 0.10
	quietWithin  = 10 * time.Minute
)

// quiet waits until nobody else uses the machine for two seconds.
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

// disturbed tells whether one of the measurements is worth nothing because
// others used the machine.
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
