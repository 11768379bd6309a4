package order

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Change is one row of sale_changes: what one transaction did to one sale and
// its orders. A sale's changes have no gaps and are in commit order.
type Change struct {
	SaleID   int64
	Seq      uint64
	Verdicts []Verdict   // of orders, in ID order; their Seq is this one's
	Sale     *SaleEffect // nil when only orders changed
	Refund   *Refund     // a payment to be refunded: nothing changed then
}

// SaleEffect is what a change did to the sale itself.
type SaleEffect struct {
	Units    int // added to total and available; may be negative
	State    SaleState
	StartsAt time.Time
	EndsAt   time.Time
}

// Changes groups the verdicts of a Settle call by the change that recorded them,
// sorted by sale and seq. Verdicts that were only read (Seq 0) are left out.
func Changes(vs []Verdict) []Change {
	fresh := slices.DeleteFunc(slices.Clone(vs), func(v Verdict) bool { return v.Seq == 0 })
	slices.SortStableFunc(fresh, func(a, b Verdict) int {
		return cmp.Or(cmp.Compare(a.SaleID, b.SaleID), cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.ID, b.ID))
	})
	var cs []Change
	for i, v := range fresh {
		if i == 0 || fresh[i-1].SaleID != v.SaleID || fresh[i-1].Seq != v.Seq {
			cs = append(cs, Change{SaleID: v.SaleID, Seq: v.Seq})
		}
		c := &cs[len(cs)-1]
		c.Verdicts = append(c.Verdicts, v)
	}
	return cs
}

// The encoding of a change: a version byte, then records. An order's record is a
// head byte (status << 4 | key flag | reason), the difference to the previous ID
// as a zig-zag varint, slot, quantity, shopper with its length and, if flagged,
// the 8-byte digest of the idempotency key, which adopting the order needs.
// Without a key, an order takes about 18 bytes; as JSON it would take 80.
//
// How many orders a shopper has returned stands apart, see EncodeReturned: the
// version before could not read it here.
const (
	changeVersion = 1
	keyFlag       = 1 << 3
	saleRecord    = 0xf0 // head byte of the sale's own record; the low half is its state
)

var (
	statusCodes = []Status{"", StatusConfirmed, StatusRejected, StatusPaid, StatusCancelled}
	reasonCodes = []Reason{ReasonNone, ReasonSoldOut, ReasonPurchaseLimit, ReasonPoison, ReasonVoid, ReasonCollision}
	stateCodes  = []SaleState{"", SaleScheduled, SaleOpen, SalePaused, SaleEnded, SaleClosed}
)

// ErrBadChange is the error of a change that cannot be read.
var ErrBadChange = errors.New("order: malformed change")

// EncodeChange returns the body of c: everything but its sale, seq and refund.
func EncodeChange(c Change) []byte {
	b := make([]byte, 1, 16+len(c.Verdicts)*32)
	b[0] = changeVersion
	if s := c.Sale; s != nil {
		b = append(b, saleRecord|byte(slices.Index(stateCodes, s.State)))
		b = binary.AppendVarint(b, int64(s.Units))
		b = binary.AppendVarint(b, s.StartsAt.UnixMilli())
		b = binary.AppendVarint(b, s.EndsAt.UnixMilli())
	}
	var last ID
	for _, v := range c.Verdicts {
		reason := v.Reason
		if reason == ReasonAttemptsUsed {
			reason = ReasonPurchaseLimit
		}
		head := byte(slices.Index(statusCodes, v.Status)<<4 | slices.Index(reasonCodes, reason))
		if v.Key != 0 {
			head |= keyFlag
		}
		b = append(b, head)
		b = binary.AppendVarint(b, int64(v.ID-last))
		last = v.ID
		b = append(b, byte(v.Slot))
		b = binary.AppendUvarint(b, uint64(v.Quantity))
		b = append(b, byte(len(v.ShopperID)))
		b = append(b, v.ShopperID...)
		if v.Key != 0 {
			b = binary.BigEndian.AppendUint64(b, v.Key)
		}
	}
	return b
}

// EncodeReturned returns what c says of returned orders, nil for nothing: for each
// verdict with a count its index and the count, as varints. The version before does
// not read it: it takes the reason attempts_used for purchase_limit, and counts
// nothing.
func EncodeReturned(c Change) (b []byte) {
	for i, v := range c.Verdicts {
		if v.Returned > 0 {
			b = binary.AppendUvarint(b, uint64(i))
			b = binary.AppendUvarint(b, uint64(v.Returned))
		}
	}
	return b
}

// DecodeChange reads what EncodeChange and EncodeReturned wrote. The error is
// ErrBadChange.
func DecodeChange(saleID int64, seq uint64, body, returned []byte) (Change, error) {
	c := Change{SaleID: saleID, Seq: seq}
	if len(body) == 0 || body[0] != changeVersion {
		return c, fmt.Errorf("%w: sale %d seq %d", ErrBadChange, saleID, seq)
	}
	r := changeReader{b: body[1:]}
	var last ID
	for len(r.b) > 0 && !r.bad {
		head := r.byte()
		if head&0xf0 == saleRecord {
			c.Sale = &SaleEffect{
				State: lookup(&r, stateCodes, head&0x0f),
				Units: int(r.varint()), StartsAt: millis(r.varint()), EndsAt: millis(r.varint()),
			}
			continue
		}
		v := Verdict{Status: lookup(&r, statusCodes, head>>4), Reason: lookup(&r, reasonCodes, head&7), Seq: seq}
		last += ID(r.varint())
		v.ID, v.SaleID = last, saleID
		v.Slot = int(r.byte())
		v.Quantity = int(r.uvarint())
		v.ShopperID = string(r.take(int(r.byte())))
		if head&keyFlag != 0 {
			if k := r.take(8); len(k) == 8 {
				v.Key = binary.BigEndian.Uint64(k)
			}
		}
		c.Verdicts = append(c.Verdicts, v)
	}
	if r.bad || !c.addReturned(returned) {
		return c, fmt.Errorf("%w: sale %d seq %d", ErrBadChange, saleID, seq)
	}
	return c, nil
}

// addReturned adds what EncodeReturned wrote, and reports whether it could be read.
func (c *Change) addReturned(b []byte) bool {
	r := changeReader{b: b}
	for len(r.b) > 0 && !r.bad {
		i, n := r.uvarint(), r.uvarint()
		if r.bad || i >= uint64(len(c.Verdicts)) || n == 0 || n > MaxReturns {
			return false
		}
		v := &c.Verdicts[i]
		if v.Returned = int(n); v.Reason == ReasonPurchaseLimit {
			v.Reason = ReasonAttemptsUsed
		}
	}
	return !r.bad
}

func millis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func lookup[T any](r *changeReader, codes []T, code byte) (v T) {
	if int(code) >= len(codes) {
		r.bad = true
		return v
	}
	return codes[code]
}

// changeReader takes values off the front of b. It is bad once b was too short.
type changeReader struct {
	b   []byte
	bad bool
}

func (r *changeReader) take(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad = true
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *changeReader) byte() byte {
	if v := r.take(1); len(v) == 1 {
		return v[0]
	}
	return 0
}

func (r *changeReader) varint() int64 {
	v, n := binary.Varint(r.b)
	r.skip(n)
	return v
}

func (r *changeReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	r.skip(n)
	return v
}

// skip drops the n bytes of a varint; n is not positive for a malformed one.
func (r *changeReader) skip(n int) {
	if n <= 0 {
		r.bad = true
		return
	}
	r.take(n)
}
