package stock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"seckill/order"
)

// Apply writes committed changes to Redis: T5, T6 and T8 for the orders, the
// effect on the sale, what shoppers have returned, and the cursor. Each change is
// one script call; all calls share a pipeline. The changes of a sale must be in seq
// order. Apply may be repeated, late and by any process: a change takes effect once.
// The orders of a change ahead of the cursor are applied at once. A change that has
// an effect on the sale or is over 1,000 ahead is left to the tail, without an error.
//
// Apply then publishes the changed orders, and the sale when units came back or
// ran out or the sale itself changed. When it returns an error (ErrNotLoaded for
// a sale that is not loaded), all other changes have been tried.
func (l *Ledger) Apply(ctx context.Context, cs []order.Change) error {
	calls := make([]call, len(cs))
	for i, c := range cs {
		calls[i] = applyCall(c)
	}
	return l.apply(ctx, cs, calls)
}

// Replay writes verdicts to Redis that were read, not committed, by the caller.
// It changes only orders that are pending or settled there: it adopts none and
// moves no cursor. It publishes and fails as Apply does.
func (l *Ledger) Replay(ctx context.Context, vs []order.Verdict) error {
	bySale := slices.Clone(vs)
	slices.SortStableFunc(bySale, func(a, b order.Verdict) int { return cmp.Compare(a.SaleID, b.SaleID) })
	var cs []order.Change
	for len(bySale) > 0 {
		sale := bySale[0].SaleID
		n := slices.IndexFunc(bySale, func(v order.Verdict) bool { return v.SaleID != sale })
		if n < 0 {
			n = len(bySale)
		}
		n = min(n, replayAtOnce)
		cs = append(cs, order.Change{SaleID: sale, Verdicts: bySale[:n]})
		bySale = bySale[n:]
	}
	return l.Apply(ctx, cs)
}

// replayAtOnce bounds one script call: Redis serves nobody else meanwhile.
const replayAtOnce = 256

// applyCall returns the call of apply.lua for a change; Seq 0 is a replay.
func applyCall(c order.Change) call {
	k := keysOf(c.SaleID)
	args := make([]any, 0, 6+3*len(c.Verdicts))
	args = append(args, strconv.FormatUint(c.Seq, 10))
	args = append(args, saleArgs(c.Sale)...)
	returned := len(args)
	args = append(args, 0)
	for i := range c.Verdicts {
		if v := &c.Verdicts[i]; v.Returned > 0 {
			args = append(args, &v.ShopperID, v.Returned)
		}
	}
	args[returned] = len(args) - returned - 1
	for i := range c.Verdicts {
		v := &c.Verdicts[i]
		if state, ok := stateOf(v.Status); ok {
			args = append(args, &v.ShopperID, v.Quantity, entryOf(state, &v.Order))
		}
	}
	return call{keys: []string{k.meta, k.orders}, args: args}
}

// saleArgs returns units, state, start and end of a sale effect.
func saleArgs(s *order.SaleEffect) []any {
	if s == nil {
		return []any{"", "", "", ""}
	}
	args := []any{s.Units, string(s.State), "", ""}
	if !s.StartsAt.IsZero() {
		args[2] = s.StartsAt.UnixMilli()
	}
	if !s.EndsAt.IsZero() {
		args[3] = s.EndsAt.UnixMilli()
	}
	return args
}

// stateOf is the state that an entry reaches by a verdict.
func stateOf(s order.Status) (EntryState, bool) {
	switch s {
	case order.StatusConfirmed, order.StatusPaid:
		return EntrySettled, true
	case order.StatusRejected:
		return EntryRejected, true
	case order.StatusCancelled:
		return EntryCancelled, true
	default:
		return 0, false
	}
}

// publication is what a batch of changes has to be published of.
type publication struct {
	results map[int64][]order.ID // by sale
	sales   map[int64]bool
}

func (l *Ledger) apply(ctx context.Context, cs []order.Change, calls []call) error {
	n := publication{results: map[int64][]order.ID{}, sales: map[int64]bool{}}
	var errs []error
	failed := map[int64]bool{} // one error per sale says enough
	for i, cmd := range l.runAll(ctx, applyScript, calls) {
		c := cs[i]
		out, err := reply(cmd)
		if err == nil && len(out) != 4 {
			err = fmt.Errorf("%w: %d values", errReply, len(out))
		}
		if err != nil {
			if !failed[c.SaleID] {
				errs = append(errs, fmt.Errorf("apply to sale %d: %w", c.SaleID, err))
			}
			failed[c.SaleID] = true
			continue
		}
		n.add(c, out)
	}
	return errors.Join(append(errs, l.publish(ctx, n))...)
}

// add takes what apply.lua answered to a change: status, units available
// before and after, entries changed.
func (n *publication) add(c order.Change, out []any) {
	status, before, after, changed := text(out[0]), number(out[1]), number(out[2]), number(out[3])
	first := status == "next" || status == "early"
	if first || changed > 0 {
		for _, v := range c.Verdicts {
			n.results[c.SaleID] = append(n.results[c.SaleID], v.ID)
		}
	}
	if first && c.Sale != nil || (before > 0) != (after > 0) {
		n.sales[c.SaleID] = true
	}
}
