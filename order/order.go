// Package order is the domain: an order and its sale, their identity, the codecs
// of messages and of the log of changes, and the rules of every operation as pure
// functions, which the store in MySQL and the one in memory share. It imports none
// of our packages, and knows nothing of HTTP, Redis, the queue or SQL.
//
// # Identity
//
// An order ID has 63 bits: milliseconds, node ID, sequence. A process takes its
// node ID from a counter in MySQL once, at its start; there is no lease. When the
// counter has nearly come round to its number, it takes a new one. Time is the wall
// clock at the start plus the monotonic time since, so it never runs back. The ID
// is the order's name in Redis, the message ID and the primary key, so removing
// duplicate messages is the same as removing duplicate orders. A sale's ID is made
// the same way, so that no sale ever meets another one's keys in Redis.
//
// The public ID, which shoppers see, seals order and sale with a MAC over both and
// the shopper: nobody can make one, or use another shopper's.
//
// A live order holds a slot, 0 to the sale's orders per shopper minus one. The
// triple (sale, shopper, slot) is unique among live orders, which enforces the
// purchase limit. An idempotency key names an order; without one, the shopper's
// live order is the key.
//
// # Changes
//
// Every transaction that changes a sale takes the next sequence number of the
// sale's row and appends one Change: the results of its orders and the effect on
// the sale, in binary, under 20 bytes per order. The log has no gaps and is in
// commit order. A change carries the digest of each order's idempotency key,
// because whoever adopts the order from the log needs it.
//
// # Operations
//
// What an operator does to a sale is a function of the sale. Version is raised by
// operators alone, so that orders make no If-Match stale. Two operations concern all
// orders of a sale, and neither waits for a mass update: in a voided sale every
// confirmed order is due, and the expirer cancels them from the log; an extension
// raises the sale's time to pay, which counts at once, and the extender brings it to
// the rows.
package order

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Status of an order. Pending is a reservation without a verdict; every other
// status is that of a committed row.
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

// Final reports whether an order of status s never changes again.
func (s Status) Final() bool {
	return s == StatusRejected || s == StatusPaid || s == StatusCancelled
}

// Reason of a rejection; empty for every other status.
type Reason string

// The reasons. A collision is an order whose ID belongs to another order: its
// verdict is a dead letter.
const (
	ReasonNone          Reason = ""
	ReasonSoldOut       Reason = "sold_out"
	ReasonPurchaseLimit Reason = "purchase_limit"
	ReasonAttemptsUsed  Reason = "attempts_used"
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

// Order is what a shopper ordered. The reservation in Redis, the message in the
// queue and the row in MySQL have the same fields.
type Order struct {
	ID        ID
	SaleID    int64
	ShopperID string // 1-64 printable ASCII bytes
	Slot      int    // 0 to orders_per_shopper-1
	Quantity  int    // units, at least 1
	Key       uint64 // digest of the idempotency key; 0 without one
	Reference string // the shop's own, up to 64 printable ASCII bytes
}

// ErrInvalid is the error of a value that does not fit its column.
var ErrInvalid = errors.New("order: invalid")

// Validate checks that every field fits its column.
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

// Verdict is an order with its result.
type Verdict struct {
	Order
	Status Status
	Reason Reason
	// Seq is the change of the sale that recorded the verdict. It is 0 when the
	// verdict was only read, or when there is no such sale.
	Seq uint64
	// Returned is how many orders of the sale its shopper had returned, see Returns: with
	// this one if that was returned, and where it was rejected for them. It is 0
	// otherwise, and when the verdict was only read.
	Returned int
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

// Verdict returns the part of r that Redis gets, with Seq 0: a process that only
// read a row must not adopt it.
func (r Record) Verdict() Verdict {
	return Verdict{Order: r.Order, Status: r.Status, Reason: r.Reason}
}

// Same reports whether a and b are the same order. Different orders under one ID
// differ in sale or shopper.
func Same(a, b Order) bool {
	return a.ID == b.ID && a.SaleID == b.SaleID && a.ShopperID == b.ShopperID
}

// ID is an order ID: 41 bits of milliseconds since 2025, 13 bits of node ID, 9 bits
// of sequence.
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
