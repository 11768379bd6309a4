package main

import (
	"context"
	"fmt"
	"time"
)

// roundRows are measured in rounds, ours and its baseline in turn.
var roundRows = []string{
	"sold_out", "accepted_256", "accepted_64", "settled_256", "settled_64", "strict", "reserve",
}

// round measures every row that lacks one once. Rows share what they have in
// common: pong, and the start and the end of the consumer.
func (b *bench) round(ctx context.Context, n int) error {
	for _, conns := range []int{256, 64} {
		accepted, settled := fmt.Sprintf("accepted_%d", conns), fmt.Sprintf("settled_%d", conns)
		var pong sample
		var err error
		if b.wants(accepted, settled) || conns == 256 && b.wants("sold_out") {
			if pong, err = b.yardstick(ctx, conns); err != nil {
				return err
			}
		}
		if conns == 256 && b.wants("sold_out") {
			if err := b.soldOut(ctx, n, pong); err != nil {
				return fmt.Errorf("sold_out: %w", err)
			}
		}
		if b.wants(settled) {
			s, err := b.settling(ctx, n, b.fast, conns)
			if err != nil {
				return fmt.Errorf("%s: %w", settled, err)
			}
			b.add(settled, s, pong)
		}
		if b.wants(accepted) {
			s, err := b.accepting(ctx, n, b.fast, conns)
			if err != nil {
				return fmt.Errorf("%s: %w", accepted, err)
			}
			b.add(accepted, s, pong)
		}
	}
	if b.wants("reserve") {
		return b.reserving(ctx)
	}
	return nil
}

// stockOfSoldOut sells out in the first moments.
const stockOfSoldOut = 100

// soldOut measures refusals of a sale whose units are gone.
func (b *bench) soldOut(ctx context.Context, n int, pong sample) error {
	if err := b.fast.consume(ctx, true); err != nil {
		return err
	}
	sl, err := b.fast.open(ctx, stockOfSoldOut)
	if err != nil {
		return err
	}
	s, err := b.steady(ctx, b.profiled(n, "sold_out", b.fast, target{
		url: b.fast.url, count: b.fast.total(soldOutTotal), conns: 256, sales: []string{sl.String()},
	}))
	if err != nil {
		return err
	}
	b.add("sold_out", s, pong)
	return sl.check(ctx)
}

// accepting measures purchases that nobody settles meanwhile; then a consumer
// settles them, for the audit.
func (b *bench) accepting(ctx context.Context, n int, s *system, conns int) (sample, error) {
	if err := s.consume(ctx, false); err != nil {
		return sample{}, err
	}
	sl, err := s.open(ctx, plenty)
	if err != nil {
		return sample{}, err
	}
	got, err := b.steady(ctx, b.profiled(n, fmt.Sprintf("accepted_%d", conns), s, target{
		url: s.url, count: s.total(acceptedTotal), conns: conns, sales: []string{sl.String()},
	}))
	if err == nil {
		err = sl.distinct(ctx, got.heard, conns)
	}
	if err != nil {
		return got, err
	}
	return got, sl.check(ctx)
}

// distinct fails when wrk ran out of shoppers: it measured replays then.
func (s *sale) distinct(ctx context.Context, h heard, conns int) error {
	accepted, err := s.sold(ctx)
	if err == nil && h.requests-h.not2xx > accepted+int64(conns) {
		err = fmt.Errorf("%d of %d answers were no new orders: too few shoppers", h.requests-accepted, h.requests)
	}
	return err
}

// settling measures purchases that are settled at the same time: all that were
// accepted over the time until the last had its result.
func (b *bench) settling(ctx context.Context, n int, s *system, conns int) (sample, error) {
	if err := b.ready(ctx, s); err != nil {
		return sample{}, err
	}
	sl, err := s.open(ctx, plenty)
	if err != nil {
		return sample{}, err
	}
	m := b.meter()
	got, err := b.steady(ctx, b.profiled(n, fmt.Sprintf("settled_%d", conns), s, target{
		url: s.url, count: s.total(acceptedTotal), conns: conns, sales: []string{sl.String()},
	}))
	if err != nil {
		return got, err
	}
	if err := sl.distinct(ctx, got.heard, conns); err != nil {
		return got, err
	}
	end, err := sl.settled(ctx)
	if err != nil {
		return got, err
	}
	got.cpu, got.foreign = m.read()
	accepted, err := sl.sold(ctx)
	if err != nil {
		return got, err
	}
	made, _, _, err := sl.span(ctx)
	if err != nil {
		return got, err
	}
	got.units = float64(accepted)
	got.rate = got.units / end.Sub(made).Seconds()
	return got, sl.check(ctx)
}

// ready has a consumer run that takes orders: its queues are its own only some
// time after its start.
func (b *bench) ready(ctx context.Context, s *system) error {
	if s.consumer != nil {
		return nil
	}
	if err := s.consume(ctx, true); err != nil {
		return err
	}
	return b.sell(ctx, s, time.Second)
}

// sell has shoppers buy for a while, and waits for their results.
func (b *bench) sell(ctx context.Context, s *system, d time.Duration) error {
	sl, err := s.open(ctx, plenty)
	if err != nil {
		return err
	}
	g, err := b.wrk(ctx, s.url, 256, d, sl.String())
	if err != nil {
		return err
	}
	if _, err := g.wait(); err != nil {
		return err
	}
	return sl.check(ctx)
}

// warmUp has every server do its work once: a broker that has just started
// takes ten times as long.
func (b *bench) warmUp(ctx context.Context) error {
	b.sayf("warming up")
	if err := b.fast.consume(ctx, true); err != nil {
		return err
	}
	return b.sell(ctx, b.fast, 4*time.Second)
}
