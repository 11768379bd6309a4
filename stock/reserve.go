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

// lease is how long a reservation may stay without a verdict before the
// sweeper looks at it, and for how long a look keeps the others away. It is a
// constant, so the list of what is due is sorted.
const lease = 30 * time.Second

// Reservation is what became of one order of a Reserve call.
type Reservation struct {
	// Slot of the order: 0 if it has lost its own to a committed order since.
	Slot int
	// Entry is the order that the key names, with ErrReplay, or one of those
	// that fill the limit, with ErrPurchaseLimit.
	Entry *Entry
	// Available units of the sale after the call.
	Available int64
	// Err is nil when the order is reserved, by this call or by an earlier one
	// with the same order ID; else one of the refusals.
	Err error
}

// Reserve takes the units of orders of one sale, all in one script call (T1),
// and returns one Reservation for each, in their order. Orders need no Slot.
// The same call repeated reserves nothing more and answers the same; only the
// reason of a refusal may be another one, when a neighbour of the call got in.
// An error means that the outcome of all is unknown; it can be told by
// repeating the call.
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

// read takes the script's answer for one order.
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

// Urgent puts reserved orders of a sale whose message may not have been stored
// in front of the sweeper (T2). Without it they wait for their lease to end.
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

// giveBack is a mutant: the verdict it tells Redis is nobody's.
func (l *Ledger) giveBack(ctx context.Context, os []order.Order) error {
	vs := make([]order.Verdict, len(os))
	for i, o := range os {
		vs[i] = order.Verdict{Order: o, Status: order.StatusRejected}
	}
	return l.Replay(ctx, vs)
}

// firstLook and fullLook are how many items one run of due.lua looks at: few
// on a sale where nothing is left over, many where a backlog has to be passed.
// looks bounds the runs of one call: 200,000 items, 0.1 s of Redis.
const (
	firstLook = 64
	fullLook  = 1_000
	looks     = 200
)

// Due claims up to limit orders of a sale that wait for the sweeper: urgent
// ones, those without a verdict for 30 s, and those dated in the future by a
// clock that ran back. A claim keeps others away for 30 s; it is no lock. The
// Slot of an order that has lost its own is 0. With an error come the orders
// claimed before it.
func (l *Ledger) Due(ctx context.Context, saleID int64, limit int) ([]order.Order, error) {
	k := keysOf(saleID)
	names := []string{k.meta, k.orders, k.due, k.urgent}
	var os []order.Order
	look := firstLook
	for range looks {
		out, err := reply(dueScript.Run(ctx, l.rdb, names, lease.Milliseconds(), limit-len(os), look))
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
		look = fullLook
	}
	return os, nil
}

// Entries returns what Redis keeps of a shopper's orders in a sale: the live
// ones and the last dead ones. None when the sale is not loaded.
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

// Entry returns what Redis keeps of one order; false when it is absent.
func (l *Ledger) Entry(ctx context.Context, saleID int64, shopper string, id order.ID) (Entry, bool, error) {
	es, err := l.Entries(ctx, saleID, shopper)
	for _, e := range es {
		if e.ID == id {
			return e, true, nil
		}
	}
	return Entry{}, false, err
}
