package main

import (
	"context"
	"fmt"
	"time"
)

// sample is one measurement.
type sample struct {
	rate    float64                  // units a second
	units   float64                  // requests or orders in it
	cpu     map[string]time.Duration // by process
	foreign float64                  // cores that others used meanwhile
	heard   heard
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
	url   string
	count counter
	conns int
	sales []string
	while func(ctx context.Context) error // runs beside the measurement; may be nil
}

// lasting has measurements take so long until the function it returns is called.
func (b *bench) lasting(d time.Duration) func() {
	before := b.seconds
	b.seconds = min(before, d)
	return func() { b.seconds = before }
}

// steady drives a target with wrk and measures a window in which it runs
// steadily: wrk's own figures begin before all of its threads do.
func (b *bench) steady(ctx context.Context, t target) (sample, error) {
	before, err := t.count(ctx)
	if err != nil {
		return sample{}, err
	}
	g, err := b.wrk(ctx, t.url, t.conns, 2*b.warm+b.seconds, t.sales...)
	if err != nil {
		return sample{}, err
	}
	s, err := b.window(ctx, t, before, g)
	var werr error
	if s.heard, werr = g.wait(); err == nil {
		err = werr
	}
	if err == nil && s.heard.errors > s.heard.requests/1000 {
		err = fmt.Errorf("%d of %d requests had no answer: %s", s.heard.errors, s.heard.requests, t.url)
	}
	return s, err
}

// window waits until the load has begun and warmed up, and measures.
func (b *bench) window(ctx context.Context, t target, before float64, g *generator) (sample, error) {
	err := until(ctx, startWithin, func() (bool, error) {
		select {
		case <-g.done:
			return false, fmt.Errorf("wrk ended at once: %s", g.out.String())
		default:
		}
		n, err := t.count(ctx)
		return n > before, err
	})
	if err != nil {
		return sample{}, err
	}
	if err := pause(ctx, b.warm); err != nil {
		return sample{}, err
	}
	m := b.meter()
	first, err := t.count(ctx)
	if err != nil {
		return sample{}, err
	}
	began := time.Now()
	if t.while != nil {
		err = t.while(ctx)
	} else {
		err = pause(ctx, b.seconds)
	}
	if err != nil {
		return sample{}, err
	}
	last, err := t.count(ctx)
	took := time.Since(began)
	s := sample{units: last - first, rate: (last - first) / took.Seconds()}
	s.cpu, s.foreign = m.read()
	return s, err
}
