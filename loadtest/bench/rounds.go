package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// roundRows are measured in rounds, each in turn with its baseline.
var roundRows = []string{
	"sold_out", "accepted_256", "accepted_64", "settled_256", "settled_64", "settled_256_events", "strict", "tracing", "metrics", "reserve", "drain_tx", "drain_bulk",
}

// round measures every row that needs a round. Rows share pong, the backlog, and the
// starts and stops of the consumer.
func (b *bench) round(ctx context.Context, n int) error {
	for _, step := range []func(context.Context, int) error{b.round256, b.round64, b.roundReserve} {
		if err := step(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) round256(ctx context.Context, n int) error {
	if b.wants("sold_out") {
		if err := b.soldOut(ctx, n); err != nil {
			return fmt.Errorf("sold_out: %w", err)
		}
	}
	var settled sample
	if b.wants("settled_256", "settled_256_events", "strict") {
		var err error
		if settled, err = b.settling(ctx, n, b.fast, 256); err != nil {
			return fmt.Errorf("settled_256: %w", err)
		}
		if b.wants("settled_256") {
			b.add("settled_256", settled, settled.baseline())
		}
	}
	if b.wants("settled_256_events") {
		if err := b.settledWithEvents(ctx, n, settled); err != nil {
			return err
		}
	}
	if b.wants("strict") {
		var s sample
		err := b.instead(b.strict.whole, b.fast.whole, func() (err error) { s, err = b.settling(ctx, n, b.strict, 256); return err })
		if err != nil {
			return fmt.Errorf("strict: %w", err)
		}
		b.add("strict", s, settled)
	}
	if b.wants("accepted_256", "drain_tx", "drain_bulk", "tracing", "metrics") {
		return b.roundDrain(ctx, n)
	}
	return nil
}

func (b *bench) round64(ctx context.Context, n int) error {
	if b.wants("settled_64") {
		s, err := b.settling(ctx, n, b.fast, 64)
		if err != nil {
			return fmt.Errorf("settled_64: %w", err)
		}
		b.add("settled_64", s, s.baseline())
	}
	if b.wants("accepted_64") {
		s, sl, err := b.accepting(ctx, n, b.fast, 64)
		if err == nil {
			err = sl.check(ctx)
		}
		if err != nil {
			return fmt.Errorf("accepted_64: %w", err)
		}
		b.add("accepted_64", s, s.baseline())
	}
	return nil
}

func (b *bench) roundReserve(ctx context.Context, _ int) error {
	if !b.wants("reserve") {
		return nil
	}
	return b.reserving(ctx)
}

// stockOfSoldOut is sold out at once.
const stockOfSoldOut = 100

// soldOut measures refusals of a sold-out sale.
func (b *bench) soldOut(ctx context.Context, n int) error {
	if err := b.fast.consume(ctx, true); err != nil {
		return err
	}
	sl, err := b.fast.open(ctx, stockOfSoldOut, 1)
	if err != nil {
		return err
	}
	s, err := b.steady(ctx, target{
		url: b.fast.url, counts: []counter{b.fast.total(soldOutTotal)}, conns: 256, sales: sl.names(), inTurns: true, idle: b.fast.idle,
		profile: b.profiler(n, "sold_out", b.fast),
	})
	if err != nil {
		return err
	}
	b.add("sold_out", s, s.baseline())
	return sl.check(ctx)
}

// accepting measures purchases while consumers are off, and leaves the backlog.
func (b *bench) accepting(ctx context.Context, n int, s *system, conns int) (sample, *sale, error) {
	return b.accepted(ctx, s, target{conns: conns, inTurns: true, profile: b.profiler(n, fmt.Sprintf("accepted_%d", conns), s)})
}

func (b *bench) accepted(ctx context.Context, s *system, t target) (sample, *sale, error) {
	if err := s.consume(ctx, false); err != nil {
		return sample{}, nil, err
	}
	sl, err := s.open(ctx, plenty, 1)
	if err != nil {
		return sample{}, nil, err
	}
	t.url, t.counts, t.sales, t.idle = s.url, []counter{s.total(acceptedTotal)}, sl.names(), s.idle
	got, err := b.steady(ctx, t)
	if err == nil {
		err = sl.distinct(ctx, got.heard, t.conns)
	}
	return got, sl, err
}

// distinct fails if wrk ran out of shoppers: then it measured replays.
func (s *sale) distinct(ctx context.Context, h wrkReport, conns int) error {
	accepted, err := s.sold(ctx)
	if err == nil && h.requests-h.not2xx > accepted+int64(conns) {
		err = fmt.Errorf("%d of %d responses were not for new orders: too few shoppers", h.requests-accepted, h.requests)
	}
	return err
}

// settling measures purchases that are settled at the same time.
func (b *bench) settling(ctx context.Context, n int, s *system, conns int) (sample, error) {
	if err := b.ready(ctx, s); err != nil {
		return sample{}, err
	}
	sl, err := s.open(ctx, plenty, 1)
	if err != nil {
		return sample{}, err
	}
	got, err := b.settle(ctx, target{conns: conns, inTurns: true, profile: b.profiler(n, fmt.Sprintf("settled_%d", conns), s)}, sl)
	if err != nil {
		return got, err
	}
	return got, sl.check(ctx)
}

// settle loads a target and measures it while the load is steady. The rate is the lower
// of two: of orders that get their result in Redis, after their row and change in
// MySQL, and of orders that are accepted. So a growing or shrinking backlog does not
// count. It returns when every order has its result.
func (b *bench) settle(ctx context.Context, t target, sl *sale) (sample, error) {
	t.url, t.sales, t.idle = sl.url, sl.names(), sl.decided
	t.counts = []counter{sl.results, sl.total(acceptedTotal)}
	got, err := b.steady(ctx, t)
	if err != nil {
		return got, err
	}
	if err := sl.distinct(ctx, got.heard, t.conns); err != nil {
		return got, err
	}
	_, err = sl.settled(ctx)
	return got, err
}

// ready starts the consumer, and waits until it gets orders: it is assigned its queues
// some time after its start.
func (b *bench) ready(ctx context.Context, s *system) error {
	if s.consumer != nil {
		return nil
	}
	if err := s.consume(ctx, true); err != nil {
		return err
	}
	return b.sell(ctx, s, time.Second)
}

// sell lets shoppers buy for a while, and checks the guarantees.
func (b *bench) sell(ctx context.Context, s *system, d time.Duration) error {
	sl, err := b.bought(ctx, s, d)
	if err != nil {
		return err
	}
	return sl.check(ctx)
}

// bought lets shoppers buy for a while.
func (b *bench) bought(ctx context.Context, s *system, d time.Duration) (*sale, error) {
	sl, err := s.open(ctx, plenty, 1)
	if err != nil {
		return nil, err
	}
	g, err := b.wrk(ctx, s.url, 256, d, sl.names()...)
	if err != nil {
		return nil, err
	}
	_, err = g.wait()
	return sl, err
}

// warmSales is the number of sales that warm up a broker. One that has just started
// takes ten times as long, and its JVM compiles for most of a minute: after 4 s of work
// an order cost it 14 µs, after 25 s 8, after 50 s 6.8.
const (
	warmSales  = 4
	warmSale   = 10 * time.Second
	warmQuick  = 4 * time.Second // the only one
	warmTraced = 2 * time.Second
)

// warmUp makes every server work.
func (b *bench) warmUp(ctx context.Context) error {
	b.sayf("warming up")
	if err := b.warmBroker(ctx, b.fast); err != nil {
		return err
	}
	if b.traced != nil {
		if err := errors.Join(b.sell(ctx, b.traced.system, warmTraced), b.traced.consume(ctx, false)); err != nil {
			return err
		}
	}
	if b.strict == nil {
		return nil
	}
	return b.warmBroker(ctx, b.strict)
}

func (b *bench) warmBroker(ctx context.Context, s *system) error {
	if err := s.consume(ctx, true); err != nil {
		return err
	}
	if b.quick {
		return b.sell(ctx, s, warmQuick)
	}
	for range warmSales {
		sl, err := b.bought(ctx, s, warmSale)
		if err != nil {
			return err
		}
		if err := until(ctx, settleWithin, func() (bool, error) { return sl.decided(ctx) }); err != nil {
			return err
		}
		if err := sl.forget(ctx); err != nil {
			return err
		}
	}
	return nil
}
