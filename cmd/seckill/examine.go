package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"seckill/admin"
	"seckill/fleet"
	"seckill/internal/checkup"
	"seckill/internal/config"
	"seckill/queue/rocketmq"
)

// examiner looks at the servers and at the processes, for doctor and preflight.
type examiner struct {
	cfg            config.Config
	backend        *backend
	service        *admin.Service
	orders, events *rocketmq.Admin
}

func (p *process) withExaminer(fn func(*examiner) error) error {
	cfg, err := p.settings(servers...)
	if err != nil {
		return err
	}
	cfg.LogLevel, cfg.LogFormat = "error", "text"
	log := p.logger(cfg)
	b, err := openBackend(cfg, log)
	if err != nil {
		return err
	}
	defer b.close()
	e := &examiner{cfg: cfg, backend: b, service: newService(cfg, b, log)}
	for _, a := range []struct {
		admin **rocketmq.Admin
		opts  rocketmq.Options
	}{{&e.orders, rocketOptions(cfg.RocketMQ, log)}, {&e.events, eventOptions(cfg.RocketMQ, log)}} {
		if *a.admin, err = rocketmq.NewAdmin(a.opts); err != nil {
			return &usageError{fmt.Errorf("SECKILL_ROCKETMQ_*: %w", err)}
		}
		defer (*a.admin).Close()
	}
	return fn(e)
}

// servers looks at all of them at once: each that is away takes its time to be
// found so.
func (e *examiner) servers(ctx context.Context) []checkup.Finding {
	events := e.events
	if !e.cfg.Consumer.Events {
		events = nil
	}
	var found [3][]checkup.Finding
	var all sync.WaitGroup
	all.Go(func() { found[0] = checkup.MySQL(ctx, e.backend.db) })
	all.Go(func() { found[1] = checkup.Redis(ctx, e.backend.redis) })
	all.Go(func() { found[2] = checkup.RocketMQ(ctx, e.orders, events) })
	all.Wait()
	return slices.Concat(found[:]...)
}

// hearing is how long processes may take to hear of a change: a look at the
// sales, and a heartbeat.
const hearing = 3 * time.Second

// fleet returns the processes that live. While one has not heard of a change it
// looks again, as long as that may take.
func (e *examiner) fleet(ctx context.Context) checkup.Fleet {
	for deadline := time.Now().Add(hearing); ; {
		f := e.readFleet(ctx)
		if !f.Stale() || time.Now().After(deadline) {
			return f
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return f
		}
	}
}

// readFleet reads each part for itself: one that cannot be read hides no other.
func (e *examiner) readFleet(ctx context.Context) checkup.Fleet {
	f := checkup.Fleet{Line: instanceLine}
	l, err := e.service.LimitsInForce(ctx)
	if err != nil {
		f.LimitsErr = err
		l.Instances, l.Away = e.service.Instances(ctx)
	}
	f.Instances, f.InstancesErr, f.Generation = l.Instances, l.Away, l.Limits.Generation
	// Without the limits it is what is configured here.
	if held, err := e.service.ViewLimits(l.Limits).Limits["held_polls"].Value.Int64(); err == nil {
		f.HeldPolls = uint64(max(0, held))
	}
	f.Loaded, f.Fingerprint, f.SalesErr = e.service.Catalogue(ctx)
	return f
}

// instanceLine is an instance in a line, for people.
func instanceLine(i fleet.Instance) string {
	at := i.AdminListen
	if i.Listen != "" {
		at = i.Listen + ", " + at
	}
	return fmt.Sprintf("%s on %s (PID %d), %s: %s", admin.Printable(i.Version), admin.Printable(i.Host), i.PID, admin.Printable(at), loadLine(i))
}

// showFindings prints them; the exit code is the caller's.
func (p *process) showFindings(found []checkup.Finding) error {
	count := map[checkup.Level]int{}
	for _, f := range found {
		count[f.Level]++
	}
	if p.json {
		return writeJSON(p.stdout, map[string]any{"ok": count[checkup.Fail] == 0, "checks": found})
	}
	marks := map[checkup.Level]string{checkup.OK: "ok  ", checkup.Warn: "warn", checkup.Fail: "FAIL"}
	for _, f := range found {
		fmt.Fprintf(p.stdout, "%s  %-22s %s\n", marks[f.Level], plain([]byte(f.Name)), plain([]byte(f.Detail)))
		if f.Advice != "" {
			fmt.Fprintf(p.stdout, "      %-22s -> %s\n", "", plain([]byte(f.Advice)))
		}
	}
	_, err := fmt.Fprintf(p.stdout, "%d failed, %d to be looked at, %d well\n", count[checkup.Fail], count[checkup.Warn], count[checkup.OK])
	return err
}
