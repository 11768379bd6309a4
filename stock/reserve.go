package stock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"seckill/internal/failpoint"
	"seckill/order"
)

// lease is how long a reservation may stay without a verdict before the sweeper
// claims it, and how long a claim keeps other sweepers away. It is a constant, so
// the list of due orders is sorted.
const lease = 30 * time.Second

// Reservation is the result for one order of a Reserve call.
type Reservation struct {
	// Slot of the order: 0 if a committed order has taken its slot since.
	Slot int
	// Entry is the order that the key names (ErrReplay), or one of those that
	// fill the limit (ErrPurchaseLimit).
	Entry *Entry
	// Available units of the sale after the call.
	Available int64
	// Err is nil when this call, or an earlier one with the same order ID, has
	// reserved the order; else one of the refusals.
	Err error
}

// Reserve takes the units of orders of one sale in one script call (T1). It
// returns one Reservation for each order, in the given order. Orders need no
// Slot. Repeating the call reserves nothing more and gives the same answers,
// except that a refusal may have another reason when an order of the same call
// got in. After an error the outcome of all orders is unknown; repeating the call
// tells it.
func (l *Ledger) Reserve(ctx context.Context, saleID int64, os []order.Order) ([]Reservation, error) {
	if len(os) == 0 {
		return nil, nil
	}
	k := keysOf(saleID)
	args := make([]any, 1, 1+4*len(os))
	args[0] = lease.Milliseconds()
	for i := range os {
		o := &os[i]
		args = append(args, &o.ShopperID, o.ID.String(), o.Quantity, entryTail(o.Key, o.Reference))
	}
	if err := failpoint.Hit(ctx, failpoint.BeforeReserve); err != nil {
		return nil, err
	}
	out, err := reply(reserveScript.Run(ctx, l.rdb, []string{k.meta, k.orders, k.due}, args...))
	if err == nil {
		err = failpoint.Hit(ctx, failpoint.AfterReserve)
	}
	rs := make([]Reservation, len(os))
	switch {
	case errors.Is(err, ErrNotLoaded):
		for i := range rs {
			rs[i].Err = ErrNotLoaded
		}
		return rs, nil
	case err != nil:
		return nil, fmt.Errorf("reserve %d orders of sale %d: %w", len(os), saleID, err)
	case len(out) != 2+len(os):
		return nil, fmt.Errorf("reserve %d orders of sale %d: %w: %d values", len(os), saleID, errReply, len(out))
	}
	for i := range rs {
		if err := rs[i].read(saleID, os[i].ShopperID, text(out[2+i])); err != nil {
			return nil, fmt.Errorf("reserve in sale %d: %w", saleID, err)
		}
		rs[i].Available = number(out[1])
	}
	return rs, nil
}

// read parses the script's answer for one order.
func (r *Reservation) read(saleID int64, shopper, answer string) error {
	if answer == "" {
		return fmt.Errorf("%w: no answer", errReply)
	}
	switch kind, rest := answer[0], answer[1:]; kind {
	case '+':
		slot, err := parseSlot(rest)
		if err != nil {
			return fmt.Errorf("%w: slot %q", errReply, rest)
		}
		r.Slot = max(slot, 0)
	case 'r', 'l':
		e, err := parseEntry(saleID, shopper, rest)
		if err != nil {
			return err
		}
		r.Entry, r.Err = &e, ErrReplay
		if kind == 'l' {
			r.Err = ErrPurchaseLimit
		}
	case 's':
		r.Err = ErrSoldOut
	case 'n':
		r.Err = ErrNotOpen
	case 'e':
		r.Err = ErrEnded
	case 'p':
		r.Err = ErrPaused
	default:
		return fmt.Errorf("%w: %q", errReply, answer)
	}
	return nil
}

// Urgent hands reserved orders whose message may not have been stored to the
// sweeper (T2). Without it they wait until their lease ends.
func (l *Ledger) Urgent(ctx context.Context, saleID int64, os ...order.Order) error {
	if len(os) == 0 {
		return nil
	}
	if failpoint.Broken(failpoint.APIGivesBack) {
		return l.giveBack(ctx, os)
	}
	k := keysOf(saleID)
	args := make([]any, len(os))
	for i, o := range os {
		args[i] = o.ID.String() + "," + o.ShopperID
	}
	status, err := urgentScript.Run(ctx, l.rdb, []string{k.meta, k.urgent}, args...).Text()
	if err == nil && status == notLoaded {
		err = ErrNotLoaded
	}
	if err != nil {
		return fmt.Errorf("hand %d orders of sale %d to the sweeper: %w", len(os), saleID, err)
	}
	return nil
}

// giveBack is a mutant: it applies a verdict that no row stands for.
func (l *Ledger) giveBack(ctx context.Context, os []order.Order) error {
	vs := make([]order.Verdict, len(os))
	for i, o := range os {
		vs[i] = order.Verdict{Order: o, Status: order.StatusRejected}
	}
	return l.Replay(ctx, vs)
}

// firstItems and manyItems are how many items one run of due.lua reads: few in a
// sale without leftovers, many to get through a backlog. maxRuns bounds the runs
// of one call: 200,000 items, 0.1 s of Redis.
const (
	firstItems = 64
	manyItems  = 1_000
	maxRuns    = 200
)

// Due claims up to limit orders of a sale for the sweeper: urgent ones, those
// without a verdict for 30 s, and those dated in the future because a clock was
// set back. A claim keeps other processes away for 30 s; it is not a lock. An
// order that has lost its slot gets Slot 0. With an error, Due also returns the
// orders that it claimed before.
func (l *Ledger) Due(ctx context.Context, saleID int64, limit int) ([]order.Order, error) {
	k := keysOf(saleID)
	names := []string{k.meta, k.orders, k.due, k.urgent}
	var os []order.Order
	items := firstItems
	for range maxRuns {
		out, err := reply(dueScript.Run(ctx, l.rdb, names, lease.Milliseconds(), limit-len(os), items))
		if err != nil {
			return os, fmt.Errorf("claim due orders of sale %d: %w", saleID, err)
		}
		for i := 2; i+1 < len(out); i += 2 {
			e, err := parseEntry(saleID, text(out[i]), text(out[i+1]))
			if err != nil {
				return os, fmt.Errorf("claim due orders of sale %d: %w", saleID, err)
			}
			e.Slot = max(e.Slot, 0)
			os = append(os, e.Order)
		}
		if len(out) < 2 || number(out[1]) == 0 || len(os) >= limit {
			break
		}
		items = manyItems
	}
	return os, nil
}

// Entries returns a shopper's entries in a sale: the live ones and the last dead
// ones; none when the sale is not loaded.
func (l *Ledger) Entries(ctx context.Context, saleID int64, shopper string) ([]Entry, error) {
	value, err := l.rdb.HGet(ctx, keysOf(saleID).orders, shopper).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read entries in sale %d: %w", saleID, err)
	}
	return parseEntries(saleID, shopper, value)
}

// Entry returns the entry of one order; false when it is absent.
func (l *Ledger) Entry(ctx context.Context, saleID int64, shopper string, id order.ID) (Entry, bool, error) {
	es, err := l.Entries(ctx, saleID, shopper)
	for _, e := range es {
		if e.ID == id {
			return e, true, nil
		}
	}
	return Entry{}, false, err
}
