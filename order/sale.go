package order

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// SaleState is set by operators. Whether a sale sells also depends on its window and
// its stock.
type SaleState string

// The states: scheduled -> open <-> paused, any of them -> ended -> closed.
const (
	SaleScheduled SaleState = "scheduled" // not yet loaded into Redis
	SaleOpen      SaleState = "open"      // loaded; sells within its window
	SalePaused    SaleState = "paused"    // loaded; sells nothing until it is resumed
	SaleEnded     SaleState = "ended"     // sells nothing any more; orders may still be pending or unpaid
	SaleClosed    SaleState = "closed"    // unloaded from Redis
)

// Loaded reports whether a sale in state s belongs in Redis: if Redis loses it, it is
// loaded again.
func (s SaleState) Loaded() bool { return s == SaleOpen || s == SalePaused }

// Follows reports whether an operator may change the state of a sale from old to s.
func (s SaleState) Follows(old SaleState) bool {
	switch s {
	case SaleOpen:
		return old == SaleScheduled || old == SalePaused
	case SalePaused:
		return old == SaleOpen
	case SaleEnded:
		return old == SaleScheduled || old == SaleOpen || old == SalePaused
	case SaleClosed:
		return old == SaleEnded
	default:
		return false
	}
}

// Sale is one SKU at one price, sold within a window.
type Sale struct {
	ID                 int64
	ExternalID         string // the shop's own name for it, unique; may be empty
	Title              string
	SKU                string
	PriceMinor         int64  // in the currency's minor unit
	Currency           string // ISO 4217
	Total              int    // units
	Available          int    // units in no live order, according to MySQL
	OrdersPerShopper   int    // live orders a shopper may hold, 1-16
	UnitsPerOrder      int
	AttemptsPerShopper int // no more is sold to a shopper who has returned so many orders, see Returns; 0: any number
	StartsAt           time.Time
	EndsAt             time.Time
	PayWithin          time.Duration // an unpaid order is cancelled after this time
	RequirePermit      bool          // a purchase needs a permit, available once the sale is open
	RequireClaim       string        // a purchase needs a token with this claim, see ParseClaim; empty for none
	State              SaleState
	Seq                uint64 // of its last change
	Epoch              uint64 // raised by each load into Redis
	Version            uint64 // from 1, raised by each operation
	Voided             bool   // its unpaid orders are being cancelled, or have been
	Extending          bool   // an extension of PayWithin is being brought to its orders
}

// Outcomes of operations on sales and orders.
var (
	ErrNotFound = errors.New("order: not found")
	// ErrConflict: the current state does not allow it.
	ErrConflict = errors.New("order: conflict")
	// ErrReused: the name belongs to another command.
	ErrReused = fmt.Errorf("%w: command reused", ErrConflict)
)

// FieldError is one invalid field of a sale.
type FieldError struct{ Field, Detail string }

func (e *FieldError) Error() string { return e.Field + ": " + e.Detail }

// Validate returns every field that is out of range, joined, as *FieldError.
func (s Sale) Validate() error {
	var errs []error
	check := func(ok bool, field, detail string, args ...any) {
		if !ok {
			errs = append(errs, &FieldError{field, fmt.Sprintf(detail, args...)})
		}
	}
	check(s.Title != "" && len(s.Title) <= 200 && utf8.ValidString(s.Title), "title", "must be 1 to 200 bytes of UTF-8")
	check(len(s.SKU) <= 64 && utf8.ValidString(s.SKU), "sku", "must be at most 64 bytes of UTF-8")
	check(validExternalID(s.ExternalID), "external_id", "must be at most 64 printable ASCII characters")
	check(s.PriceMinor >= 0 && s.PriceMinor <= 1e12, "price_minor", "must be 0 to 1e12, not %d", s.PriceMinor)
	check(isCurrency(s.Currency), "currency", "must be a code of ISO 4217 such as CNY, not %q", s.Currency)
	check(s.Total >= 0 && s.Total <= 1e9, "stock", "must be 0 to 1e9, not %d", s.Total)
	check(s.OrdersPerShopper >= 1 && s.OrdersPerShopper <= MaxSlots, "orders_per_shopper", "must be 1 to %d, not %d", MaxSlots, s.OrdersPerShopper)
	check(s.UnitsPerOrder >= 1 && s.UnitsPerOrder <= MaxQuantity, "units_per_order", "must be 1 to %d, not %d", MaxQuantity, s.UnitsPerOrder)
	check(s.AttemptsPerShopper >= 0 && s.AttemptsPerShopper <= MaxAttempts, "attempts_per_shopper", "must be 1 to %d, or 0 for no limit, not %d", MaxAttempts, s.AttemptsPerShopper)
	check(!s.StartsAt.IsZero(), "starts_at", "is missing")
	check(s.EndsAt.After(s.StartsAt), "ends_at", "must be after starts_at")
	check(s.RequireClaim == "" || validClaim(s.RequireClaim), "require_claim", "must be the name of a claim, or name=value, each of 1 to 64 printable ASCII characters")
	check(s.PayWithin >= time.Second && s.PayWithin <= 30*24*time.Hour, "pay_within", "must be 1s to 720h, not %s", s.PayWithin)
	return errors.Join(errs...)
}

func validExternalID(s string) bool { return len(s) <= 64 && printable(s, '!') }

// ParseClaim splits the claim that a sale requires. A token satisfies "name" if it
// has a claim of that name that is true, and "name=value" if the claim is that
// string or a list that contains it.
func ParseClaim(required string) (name, value string) {
	name, value, _ = strings.Cut(required, "=")
	return name, value
}

func validClaim(s string) bool {
	name, value := ParseClaim(s)
	return ValidShopperID(name) && ValidReference(value) && (value != "" || !strings.Contains(s, "="))
}

func currency(s string) bool {
	if len(s) != 3 {
		return false
	}
	for i := range len(s) {
		if s[i] < 'A' || s[i] > 'Z' {
			return false
		}
	}
	return true
}

// NewestFirst compares sales, for sorting.
func NewestFirst(a, b Sale) int { return cmp.Compare(b.ID, a.ID) }

// SaleIDs returns the IDs of sales, in their order.
func SaleIDs(ss []Sale) []int64 {
	ids := make([]int64, len(ss))
	for i, s := range ss {
		ids[i] = s.ID
	}
	return ids
}
