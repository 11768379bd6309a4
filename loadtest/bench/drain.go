package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// roundDrain measures what is accepted with consumers off, how fast a consumer
// settles that backlog, and the plain programs beside it.
func (b *bench) roundDrain(ctx context.Context, n int) error {
	accepted, sl, err := b.accepting(ctx, n, b.fast, 256)
	if err != nil {
		return fmt.Errorf("accepted_256: %w", err)
	}
	if b.wants("accepted_256") {
		b.add("accepted_256", accepted, accepted.yard())
	}
	drained, err := b.drain(ctx, n, sl)
	if err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	if b.wants("drain_tx") {
		s, err := b.shop.oneByOne(ctx)
		if err != nil {
			return fmt.Errorf("drain_tx, baseline: %w", err)
		}
		b.add("drain_tx", drained, s)
	}
	if b.wants("drain_bulk") {
		s, err := b.shop.bulk(ctx)
		if err != nil {
			return fmt.Errorf("drain_bulk, baseline: %w", err)
		}
		b.add("drain_bulk", drained, s)
	}
	return b.observed(ctx, accepted)
}

// drain starts a consumer and measures from its first commit until the last
// result is in Redis. The audit follows.
func (b *bench) drain(ctx context.Context, n int, sl *sale) (sample, error) {
	orders, err := sl.sold(ctx)
	if err != nil {
		return sample{}, err
	}
	m := b.meter()
	if err := sl.consume(ctx, true); err != nil {
		return sample{}, err
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	if profile := b.profiled(n, "drain", sl.system, target{}).profile; profile != nil {
		wg.Go(func() {
			if err := profile(ctx); err != nil {
				b.sayf("%v", err)
			}
		})
	}
	end, err := sl.settled(ctx)
	if err != nil {
		return sample{}, err
	}
	s := sample{units: float64(orders)}
	s.cpu, s.foreign = m.read()
	sp, err := sl.span(ctx, time.Unix(0, 0))
	if err != nil {
		return s, err
	}
	s.rate = s.units / end.Sub(sp.decided).Seconds()
	return s, sl.check(ctx)
}

// onMySQL8 measures the drain and one order per transaction on MySQL 8.0 with
// its default binlog, where a commit costs most.
func (b *bench) onMySQL8(ctx context.Context) error {
	b.thaw(b.fast.mysql8())
	defer func() { b.freeze(b.others()) }()
	dsn := b.fast.srv.env["SECKILL_TEST_MYSQL8_DSN"]
	var err error
	if b.mysql8, err = b.newSystem(ctx, "mysql8", b.fast.srv, dsn); err != nil {
		return err
	}
	shop, err := b.newShop(ctx, "mysql8", dsn)
	if err != nil {
		return err
	}
	defer shop.close()
	if err := b.ready(ctx, b.mysql8); err != nil {
		return err
	}
	defer b.lasting(3 * time.Second)() // the backlog of a longer one takes too long
	for range min(b.rounds, 3) {
		_, sl, err := b.accepted(ctx, b.mysql8, target{conns: 256})
		if err != nil {
			return err
		}
		ours, err := b.drain(ctx, 1, sl)
		if err != nil {
			return err
		}
		base, err := shop.oneByOne(ctx)
		if err != nil {
			return err
		}
		b.add("drain_tx_mysql8", ours, base)
	}
	return nil
}
