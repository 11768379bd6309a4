// Package order is the domain: an order and its sale, their identity, the
// encodings of messages and changes, and the rules of settling, payments and
// operations as pure functions. It imports nothing else of this module:
// order/mysql and order/memory keep what it describes, by its rules.
package order

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Status of an order. Pending is a reservation without a verdict; every other
// status is a committed row.
type Status string

// The statuses: pending -> confirmed | rejected, confirmed -> paid | cancelled.
const (
	StatusPending   Status = "pending"
	StatusConfirmed Status = "confirmed"
	StatusRejected  Status = "rejected"
	StatusPaid      Status = "paid"
	StatusCancelled Status = "cancelled"
)

// Live reports whether an order of status s holds units and a slot.
func (s Status) Live() bool { return s == StatusConfirmed || s == StatusPaid }

// Final reports whether an order of status s stays as it is for good.
func (s Status) Final() bool {
	return s == StatusRejected || s == StatusPaid || s == StatusCancelled
}

// Reason of a rejection; empty for every other status.
type Reason string

// The reasons. A collision is an order whose ID belongs to another order; its
// verdict is a row in dead_letters.
const (
	ReasonNone          Reason = ""
	ReasonSoldOut       Reason = "sold_out"
	ReasonPurchaseLimit Reason = "purchase_limit"
	ReasonPoison        Reason = "poison"
	ReasonVoid          Reason = "void"
	ReasonCollision     Reason = "collision"
)

// Limits of the fields of an order. Each fits its column.
const (
	MaxSlots     = 16 // orders per shopper and sale
	MaxQuantity  = 1_000_000
	MaxShopperID = 64
	maxRefSize   = 64
)

// Order is what a shopper asked for: the reservation in Redis, the message in
// the queue and the row in MySQL carry the same fields.
type Order struct {
	ID        ID
	SaleID    int64
	ShopperID string // 1-64 printable ASCII bytes
	Slot      int    // 0 … orders_per_shopper-1; a live order holds one
	Quantity  int    // units, at least 1
	Key       uint64 // digest of the idempotency key; 0 without one
	Reference string // the shop's own, up to 64 printable ASCII bytes
}

// ErrInvalid is the error of an order that no column could hold.
var ErrInvalid = errors.New("order: invalid")

// Validate checks every field's range, so that what passes fits its column.
func (o Order) Validate() error {
	switch {
	case o.ID <= 0:
		return fmt.Errorf("%w: ID %d", ErrInvalid, o.ID)
	case o.SaleID <= 0:
		return fmt.Errorf("%w: sale %d", ErrInvalid, o.SaleID)
	case !ValidShopperID(o.ShopperID):
		return fmt.Errorf("%w: shopper %q", ErrInvalid, o.ShopperID)
	case o.Slot < 0 || o.Slot >= MaxSlots:
		return fmt.Errorf("%w: slot %d", ErrInvalid, o.Slot)
	case o.Quantity < 1 || o.Quantity > MaxQuantity:
		return fmt.Errorf("%w: quantity %d", ErrInvalid, o.Quantity)
	case !ValidReference(o.Reference):
		return fmt.Errorf("%w: reference %q", ErrInvalid, o.Reference)
	}
	return nil
}

// ValidShopperID reports whether s is 1-64 printable ASCII bytes, no spaces.
func ValidShopperID(s string) bool {
	return s != "" && len(s) <= MaxShopperID && printable(s, '!')
}

// ValidReference reports whether s is at most 64 printable ASCII bytes.
func ValidReference(s string) bool { return len(s) <= maxRefSize && printable(s, ' ') }

func printable(s string, lowest byte) bool {
	for i := range len(s) {
		if s[i] < lowest || s[i] > '~' {
			return false
		}
	}
	return true
}

// Verdict is an order with what it came to.
type Verdict struct {
	Order
	Status Status
	Reason Reason
	// Seq is the change of the sale that recorded the verdict; 0 when the
	// verdict was only read, or when no sale could log it.
	Seq uint64
}

// Record is an order's row.
type Record struct {
	Order
	Status    Status
	Reason    Reason
	UnitPrice int64 // in the currency's minor unit
	DecidedAt time.Time
	PayBy     time.Time // when an unpaid order is cancelled; zero for a rejected one
}

// Verdict returns the part of r that Redis is told, with Seq 0: who only read
// a row must not adopt it.
func (r Record) Verdict() Verdict {
	return Verdict{Order: r.Order, Status: r.Status, Reason: r.Reason}
}

// Same reports whether a and b are one order: two orders under one ID differ
// in sale or shopper.
func Same(a, b Order) bool {
	return a.ID == b.ID && a.SaleID == b.SaleID && a.ShopperID == b.ShopperID
}

// ID is an order ID: 41 bits of milliseconds since 2025, 13 bits of node
// ID, 9 bits of sequence. It is the reservation's name in Redis, the
// message ID in RocketMQ and the primary key in MySQL.
type ID int64

const (
	sequenceBits = 9
	nodeBits     = 13
	timeShift    = sequenceBits + nodeBits
	// epochMillis is 2025-01-01T00:00:00Z; 41 bits last until 2094.
	epochMillis = 1_735_689_600_000
)

// Time returns when the ID was made, to the millisecond, UTC.
func (id ID) Time() time.Time {
	return time.UnixMilli(int64(id)>>timeShift + epochMillis).UTC()
}

// String returns the decimal form that operators, MySQL and messages use.
func (id ID) String() string { return strconv.FormatInt(int64(id), 10) }

// ParseID reads the decimal form.
func ParseID(s string) (ID, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 || s != strconv.FormatInt(n, 10) {
		return 0, fmt.Errorf("%w: ID %q", ErrInvalid, s)
	}
	return ID(n), nil
}
