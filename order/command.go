package order

import (
	"fmt"
	"strconv"
	"time"
)

// maxTotal bounds the units of a sale.
const maxTotal = 1_000_000_000

// AsCreated returns s as a store keeps a new sale: scheduled, all units available,
// times in UTC to the millisecond, pay_within to the second.
func (s Sale) AsCreated() Sale {
	s.State, s.Available, s.Seq, s.Epoch = SaleScheduled, s.Total, 0, 0
	s.Version, s.Voided, s.Extending = 1, false, false
	s.StartsAt = s.StartsAt.UTC().Truncate(time.Millisecond)
	s.EndsAt = s.EndsAt.UTC().Truncate(time.Millisecond)
	s.PayWithin = s.PayWithin.Truncate(time.Second)
	return s
}

// Repeats returns ErrConflict unless s has the terms of old, so that creating it
// again may return old. The total is compared until the first change.
func (s Sale) Repeats(old Sale) error {
	a, b := old.AsCreated(), s.AsCreated()
	if old.Seq > 0 {
		b.Total, b.Available = a.Total, a.Available
	}
	if old.ExternalID != "" {
		b.ID = a.ID
	}
	if a != b {
		return fmt.Errorf("%w: sale %d has other terms", ErrConflict, old.ID)
	}
	return nil
}

// ExternalIDTaken is the error of a sale whose external ID is another sale's.
func (s Sale) ExternalIDTaken() error {
	return fmt.Errorf("%w: another sale has the external ID %q", ErrConflict, s.ExternalID)
}

// Move changes the state of s. The effect is nil if s has that state already; the
// error is ErrConflict if it cannot get there.
func (s *Sale) Move(to SaleState) (*SaleEffect, error) {
	if s.State == to {
		return nil, nil //nolint:nilnil // nothing to do is no error
	}
	if !to.Follows(s.State) {
		return nil, fmt.Errorf("%w: sale %d is %s, cannot be %s", ErrConflict, s.ID, s.State, to)
	}
	s.State = to
	return s.effect(0), nil
}

// Restock adds units, which may be negative, to s. The error is ErrConflict.
func (s *Sale) Restock(units int) (*SaleEffect, error) {
	switch {
	case s.State == SaleEnded || s.State == SaleClosed:
		return nil, fmt.Errorf("%w: sale %d is %s", ErrConflict, s.ID, s.State)
	case units < -s.Available:
		return nil, fmt.Errorf("%w: sale %d has %d units available", ErrConflict, s.ID, s.Available)
	case units > maxTotal-s.Total:
		return nil, fmt.Errorf("%w: sale %d would have more than %d units", ErrConflict, s.ID, maxTotal)
	case units == 0:
		return nil, nil //nolint:nilnil // nothing to do is no error
	}
	s.Total += units
	s.Available += units
	return s.effect(units), nil
}

func (s *Sale) effect(units int) *SaleEffect {
	return &SaleEffect{Units: units, State: s.State, StartsAt: s.StartsAt, EndsAt: s.EndsAt}
}

// StateCommand is what a command does that changes the state of a sale.
func StateCommand(to SaleState) string { return "set " + string(to) }

// RestockCommand is what a command does that restocks a sale.
func RestockCommand(units int) string { return "restock " + strconv.Itoa(units) }

// Command is what the name of a command stands for.
type Command struct {
	SaleID int64 // 0: of no sale
	What   string
}

// Repeats returns ErrReused unless c is the command before, which has the same
// name.
func (c Command) Repeats(name string, before Command) error {
	if c == before {
		return nil
	}
	return fmt.Errorf("%w: command %s was %q of sale %d", ErrReused, name, before.What, before.SaleID)
}

// ValidateCommand checks the name of a command: 1-64 printable ASCII bytes,
// else ErrInvalid.
func ValidateCommand(cmd string) error {
	if !ValidShopperID(cmd) { // the same rule
		return fmt.Errorf("%w: command ID %q", ErrInvalid, cmd)
	}
	return nil
}
