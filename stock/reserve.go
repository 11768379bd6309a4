package stock

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"seckill/internal/failpoint"
	"seckill/order"
)

// lease is how long a reservation may stay without a verdict before the sweeper
// claims it, and how long a claim keeps other sweepers away. It is a constant, so
// the list of due orders is sorted.
const lease = 30 * time.Second

// Purchase is an order to reserve, and the terms on which it is.
type Purchase struct {
	order.Order

	// Attempts is the sale's AttemptsPerShopper. 0 is no limit: neither a pause nor
	// PermitAt holds then.
	Attempts int
	// PermitAt is when the permit of the purchase was issued, by the clock of Redis;
	// zero without one.
	PermitAt time.Time
}

// Purchases returns orders of a sale without a limit as purchases.
func Purchases(os ...order.Order) []Purchase {
	ps := make([]Purchase, len(os))
	for i, o := range os {
		ps[i].Order = o
	}
	return ps
}

// terms formats the terms for reserve.lua.
func (p *Purchase) terms() string {
	switch {
	case p.Attempts == 0:
		return ""
	case p.PermitAt.IsZero():
		return strconv.Itoa(p.Attempts)
	default:
		return strconv.Itoa(p.Attempts) + "," + strconv.FormatInt(p.PermitAt.UnixMilli(), 10)
	}
}

// Reservation is the result for one order of a Reserve call.
type Reservation struct {
	// Slot of the order: 0 if a committed order has taken its slot since.
	Slot int
	// Entry is the order that the key names (ErrReplay), or one of those that
	// fill the limit (ErrPurchaseLimit).
	Entry *Entry
	// Available units of the sale after the call.
	Available int64
	// Wait is the time until the shopper may try again (ErrReturnPause).
	Wait time.Duration
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
func (l *Ledger) Reserve(ctx context.Context, saleID int64, ps []Purchase) ([]Reservation, error) {
	if len(ps) == 0 {
		return nil, nil
	}
	k := keysOf(saleID)
	args := make([]any, 1, 1+5*len(ps))
	args[0] = lease.Milliseconds()
	for i := range ps {
		p := &ps[i]
		args = append(args, &p.ShopperID, p.ID.String(), p.Quantity, entryTail(p.Key, p.Reference), p.terms())
	}
	if err := failpoint.Hit(ctx, failpoint.BeforeReserve); err != nil {
		return nil, err
	}
	out, err := reply(reserveScript.Run(ctx, l.rdb, []string{k.meta, k.orders, k.due}, args...))
	if err == nil {
		err = failpoint.Hit(ctx, failpoint.AfterReserve)
	}
	rs := make([]Reservation, len(ps))
	switch {
	case errors.Is(err, ErrNotLoaded):
		for i := range rs {
			rs[i].Err = ErrNotLoaded
		}
		return rs, nil
	case err != nil:
		return nil, fmt.Errorf("reserve %d orders of sale %d: %w", len(ps), saleID, err)
	case len(out) != 2+len(ps):
		return nil, fmt.Errorf("reserve %d orders of sale %d: %w: %d values", len(ps), saleID, errReply, len(out))
	}
	for i := range rs {
		if err := rs[i].read(saleID, ps[i].ShopperID, text(out[2+i])); err != nil {
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
	case 'u':
		r.Err = ErrAttemptsUsed
	case 'v':
		r.Err = ErrPermitSpent
	case 'w':
		r.Wait, r.Err = time.Duration(decimal(rest))*time.Millisecond, ErrReturnPause
	default:
		return fmt.Errorf("%w: %q", errReply, answer)
	}
	return nil
}
