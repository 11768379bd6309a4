package stock

import (
	"context"
	"errors"
	"fmt"
	"time"

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
