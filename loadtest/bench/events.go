package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"seckill/order"
	"seckill/order/mysql"
	"seckill/queue/rocketmq"
)

// publishing is a system that publishes order events, and their topic.
type publishing struct {
	*system

	store *mysql.Store
	topic *rocketmq.Admin
}

func (b *bench) startPublishing(ctx context.Context, srv *servers) error {
	t := &publishing{}
	b.withEvents = t
	var err error
	if t.system, err = b.newSystem(ctx, "events", srv, srv.dsn(), "SECKILL_EVENTS=true"); err != nil {
		return err
	}
	log := slog.New(slog.DiscardHandler)
	t.store = mysql.NewStore(t.db, log)
	t.topic, err = rocketmq.NewAdmin(rocketmq.Options{
		NameServers: strings.Split(srv.env["SECKILL_ROCKETMQ_NAMESERVERS"], ","), Topic: t.own + "_event", Log: log,
	})
	if err == nil {
		b.onClose(func() error { t.topic.Close(); return nil })
	}
	return err
}

// stored returns how many events the broker has.
func (t *publishing) stored(ctx context.Context) (n int64, err error) {
	ends, err := t.topic.MaxOffsets(ctx)
	for _, end := range ends {
		n += end
	}
	return n, err
}

// settledWithEvents measures settled_256 while the events of all orders are published.
func (b *bench) settledWithEvents(ctx context.Context, n int, plain sample) error {
	var s sample
	err := b.instead(b.withEvents.roles, b.fast.roles, func() (err error) { s, err = b.settlingWithEvents(ctx, n); return err })
	if err != nil {
		return fmt.Errorf("settled_256_events: %w", err)
	}
	b.add("settled_256_events", s, plain)
	return nil
}

func (b *bench) settlingWithEvents(ctx context.Context, n int) (sample, error) {
	t := b.withEvents
	if err := b.ready(ctx, t.system); err != nil {
		return sample{}, err
	}
	sl, err := t.open(ctx, plenty, 1)
	if err != nil {
		return sample{}, err
	}
	before, err := t.stored(ctx)
	if err != nil {
		return sample{}, err
	}
	s, err := b.settle(ctx, target{conns: 256, profile: b.profiler(n, "settled_256_events", t.system)}, sl)
	if err != nil {
		return s, err
	}
	settled := time.Now()
	orders, err := sl.sold(ctx)
	if err != nil {
		return s, err
	}
	if err := t.allPublished(ctx, sl, before+orders); err != nil {
		return s, err
	}
	after, err := t.stored(ctx)
	b.row("settled_256_events").note = fmt.Sprintf("%d events of %d orders, the last one %.1f s after the last result", after-before, orders, time.Since(settled).Seconds())
	// Stopped before the next round, or it would look for events of a sale that is gone.
	return s, errors.Join(err, sl.check(ctx), t.consume(ctx, false))
}

// allPublished waits until the cursor says that all events are published, and the broker
// has at least so many. The error is errBroken if some are missing.
func (t *publishing) allPublished(ctx context.Context, sl *sale, wanted int64) error {
	err := until(ctx, settleWithin, func() (bool, error) {
		behind, err := t.store.EventsBehind(ctx, false, 1000)
		return err == nil && !slices.ContainsFunc(behind, func(c order.EventCursor) bool { return c.SaleID == sl.ids[0] }), err
	})
	if err != nil {
		return fmt.Errorf("waiting for the last event: %w", err)
	}
	var n int64
	err = until(ctx, 10*time.Second, func() (_ bool, err error) { n, err = t.stored(ctx); return n >= wanted, err })
	if errors.Is(err, errTooLate) {
		return fmt.Errorf("%w: %d events are missing", errBroken, wanted-n)
	}
	return err
}
