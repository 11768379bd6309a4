package order

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// Operator is who gives a command, for the audit log. The zero Operator is one of
// our processes: what it does is not in the audit log and raises no version.
type Operator struct {
	Name string // 1-128 printable ASCII bytes
	Role string
}

// IsZero reports whether o is one of our processes.
func (o Operator) IsZero() bool { return o == Operator{} }

// Operation is one command of an operator on a sale.
type Operation struct {
	// Command is its name: run again under the same name, after an unknown outcome,
	// it does nothing.
	Command   string
	By        Operator
	SaleID    int64
	IfVersion uint64 // the version that the sale must have; 0 for any
	Action    Action
}

// ErrStale is the error of an operation on a sale that was changed meanwhile and
// has another version.
var ErrStale = errors.New("order: changed meanwhile")

// Check returns ErrStale if s has another version than the operation expects.
func (o Operation) Check(s Sale) error {
	if o.IfVersion != 0 && o.IfVersion != s.Version {
		return fmt.Errorf("%w: sale %d has version %d, not %d", ErrStale, s.ID, s.Version, o.IfVersion)
	}
	return nil
}

// Do applies the operation to s. The effect is nil when there is nothing to do. The errors are those of the action, and ErrStale.
func (o Operation) Do(s *Sale) (*SaleEffect, error) {
	if err := o.Check(*s); err != nil {
		return nil, err
	}
	effect, err := o.Action.do(s)
	if err == nil && effect != nil && !o.By.IsZero() {
		s.Version++
	}
	return effect, err
}

// Action is what an operation does to a sale.
type Action struct {
	Name string // in the audit log
	What string // with its arguments: a command's name stands for one What
	do   func(*Sale) (*SaleEffect, error)
}

// Moving changes the state of a sale; name is the operator's word for it.
func Moving(name string, to SaleState) Action {
	return Action{name, StateCommand(to), func(s *Sale) (*SaleEffect, error) { return s.Move(to) }}
}

// Restocking adds units, which may be negative, to a sale.
func Restocking(units int) Action {
	return Action{"restock", RestockCommand(units), func(s *Sale) (*SaleEffect, error) { return s.Restock(units) }}
}

// Voiding ends a sale and cancels its orders: consumers cancel every confirmed and
// unpaid order, now and later, and payments from now on are to be refunded.
func Voiding() Action {
	return Action{"void", "void", func(s *Sale) (*SaleEffect, error) {
		switch {
		case s.Voided:
			return nil, nil // nothing to do is no error
		case s.State == SaleClosed:
			return nil, fmt.Errorf("%w: sale %d is closed, none of its orders is unpaid", ErrConflict, s.ID)
		}
		s.Voided, s.State = true, SaleEnded
		return s.effect(0), nil
	}}
}

// Extending gives the shoppers of a sale more time to pay: within is the new
// pay_within, or by is added to the current one; the other is 0. It holds at once
// for all unpaid orders, whatever their rows say, and for new ones.
func Extending(within, by time.Duration) Action {
	return Action{"extend-pay", fmt.Sprintf("extend pay %s +%s", within, by), func(s *Sale) (*SaleEffect, error) {
		to := s.PayWithin + by
		if within != 0 {
			to = within
		}
		to = to.Truncate(time.Second)
		switch {
		case s.Voided || s.State == SaleClosed:
			return nil, fmt.Errorf("%w: no order of sale %d can be paid any more", ErrConflict, s.ID)
		case to < s.PayWithin:
			return nil, fmt.Errorf("%w: the shoppers of sale %d have %s to pay, and it cannot become shorter", ErrConflict, s.ID, s.PayWithin)
		case to == s.PayWithin:
			return nil, nil // nothing to do is no error
		}
		s.PayWithin, s.Extending = to, s.State != SaleScheduled
		return s.effect(0), s.Validate()
	}}
}

// SalePatch are the fields of a sale to change; nil leaves a field as it is.
type SalePatch struct {
	ExternalID         *string        `json:"external_id,omitempty"`
	Title              *string        `json:"title,omitempty"`
	SKU                *string        `json:"sku,omitempty"`
	PriceMinor         *int64         `json:"price_minor,omitempty"`
	Currency           *string        `json:"currency,omitempty"`
	OrdersPerShopper   *int           `json:"orders_per_shopper,omitempty"`
	UnitsPerOrder      *int           `json:"units_per_order,omitempty"`
	AttemptsPerShopper *int           `json:"attempts_per_shopper,omitempty"`
	StartsAt           *time.Time     `json:"starts_at,omitempty"`
	EndsAt             *time.Time     `json:"ends_at,omitempty"`
	PayWithin          *time.Duration `json:"pay_within,omitempty"`
	RequirePermit      *bool          `json:"require_permit,omitempty"`
	RequireClaim       *string        `json:"require_claim,omitempty"`
}

// Changing changes fields of a sale. Price, limits and pay_within are fixed once
// the sale is open, and the window once it has ended: ErrConflict. Of the limits,
// attempts_per_shopper may still be raised or lifted: that takes nothing from
// anybody. A field that is out of range is a *FieldError.
func Changing(p SalePatch) Action {
	digest := sha256.Sum256(document(p))
	return Action{"change", "change " + hex.EncodeToString(digest[:16]), func(s *Sale) (*SaleEffect, error) {
		next := p.Over(*s)
		if next == *s {
			return nil, nil // nothing to do is no error
		}
		if err := next.Validate(); err != nil {
			return nil, err
		}
		if err := s.allows(next); err != nil {
			return nil, err
		}
		*s = next
		return s.effect(0), nil
	}}
}

// Over returns s with the fields of p.
func (p SalePatch) Over(s Sale) Sale {
	set(&s.ExternalID, p.ExternalID)
	set(&s.Title, p.Title)
	set(&s.SKU, p.SKU)
	set(&s.PriceMinor, p.PriceMinor)
	set(&s.Currency, p.Currency)
	set(&s.OrdersPerShopper, p.OrdersPerShopper)
	set(&s.UnitsPerOrder, p.UnitsPerOrder)
	set(&s.AttemptsPerShopper, p.AttemptsPerShopper)
	set(&s.PayWithin, p.PayWithin)
	set(&s.RequirePermit, p.RequirePermit)
	set(&s.RequireClaim, p.RequireClaim)
	if p.StartsAt != nil {
		s.StartsAt = p.StartsAt.UTC().Truncate(time.Millisecond)
	}
	if p.EndsAt != nil {
		s.EndsAt = p.EndsAt.UTC().Truncate(time.Millisecond)
	}
	s.PayWithin = s.PayWithin.Truncate(time.Second)
	return s
}

func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}

// allows returns an error unless s, in its state, may become next.
func (s *Sale) allows(next Sale) error {
	fixed := func(name string, changed bool) error {
		if !changed {
			return nil
		}
		return fmt.Errorf("%w: sale %d is %s: its %s cannot change any more", ErrConflict, s.ID, s.State, name)
	}
	var errs []error
	if s.State != SaleScheduled {
		errs = append(errs,
			fixed("price", s.PriceMinor != next.PriceMinor || s.Currency != next.Currency),
			fixed("orders_per_shopper", s.OrdersPerShopper != next.OrdersPerShopper),
			fixed("units_per_order", s.UnitsPerOrder != next.UnitsPerOrder),
			fixed("pay_within", s.PayWithin != next.PayWithin))
		if s.lowers(next) {
			errs = append(errs, fmt.Errorf("%w: sale %d is %s: its attempts_per_shopper cannot become less any more", ErrConflict, s.ID, s.State))
		}
	}
	if !s.State.Loaded() && s.State != SaleScheduled {
		errs = append(errs, fixed("window", s.StartsAt != next.StartsAt || s.EndsAt != next.EndsAt))
	}
	return errors.Join(errs...)
}

// lowers reports whether next allows fewer attempts than s.
func (s *Sale) lowers(next Sale) bool {
	return next.AttemptsPerShopper != 0 && (s.AttemptsPerShopper == 0 || next.AttemptsPerShopper < s.AttemptsPerShopper)
}

// Creation is an operator's command to create a sale.
type Creation struct {
	Command string // as an Operation's; empty for none
	By      Operator
	Sale    Sale // the caller sets its ID
}

// What is what the command does: its name stands for the terms, whatever ID the
// caller gave the sale.
func (c Creation) What() string {
	s := c.Sale.AsCreated()
	s.ID = 0
	digest := sha256.Sum256(document(s))
	return "create " + hex.EncodeToString(digest[:16])
}

// Validate checks the sale's fields, as Sale.Validate does, and the command's name.
func (c Creation) Validate() error {
	if err := c.Sale.Validate(); err != nil || c.Command == "" {
		return err
	}
	return ValidateCommand(c.Command)
}
