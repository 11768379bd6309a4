package stock

import (
	"fmt"
	"strconv"
	"strings"

	"seckill/order"
)

// EntryState is the state of an order in Redis; an order without an entry is
// absent. Rejected and cancelled orders are dead: they hold nothing and never
// change again.
type EntryState byte

// The states of an entry.
const (
	EntryPending   EntryState = 'P'
	EntrySettled   EntryState = 'S' // confirmed or paid
	EntryRejected  EntryState = 'R'
	EntryCancelled EntryState = 'C'
)

// Live reports whether an entry of state s holds units.
func (s EntryState) Live() bool { return s == EntryPending || s == EntrySettled }

// Entry is an order as Redis stores it. Its Slot is -1 when it holds none: it is
// dead, or it is pending while a committed order holds its slot. The reference
// is stored only while the order is pending.
type Entry struct {
	order.Order
	State EntryState
}

// returnsID is the ID under which a shopper's entries hold what the shopper has
// returned, see entry.lua.
const returnsID = 1

// returnsEntry formats what a shopper has returned.
func returnsEntry(r *order.Returns) string {
	return fmt.Sprintf("C%d,-,%d,,%d", returnsID, r.Orders, r.At.UnixMilli())
}

// noSlot is the Slot of an entry that holds none.
const noSlot = -1

// parseEntry reads <state><id>,<slot>,<quantity>[,<key>[,<reference>]].
func parseEntry(saleID int64, shopper, text string) (Entry, error) {
	e := Entry{Order: order.Order{SaleID: saleID, ShopperID: shopper}}
	bad := func() (Entry, error) { return Entry{}, fmt.Errorf("%w: entry %q", errReply, text) }
	if text == "" {
		return bad()
	}
	e.State = EntryState(text[0])
	f := strings.SplitN(text[1:], ",", 5)
	if len(f) < 3 || strings.IndexByte("PSRC", text[0]) < 0 {
		return bad()
	}
	id, err := order.ParseID(f[0])
	if err != nil {
		return bad()
	}
	e.ID = id
	if e.Slot, err = parseSlot(f[1]); err != nil {
		return bad()
	}
	if e.Quantity, err = strconv.Atoi(f[2]); err != nil {
		return bad()
	}
	if len(f) > 3 && f[3] != "" {
		if e.Key, err = strconv.ParseUint(f[3], 16, 64); err != nil {
			return bad()
		}
	}
	if len(f) > 4 {
		e.Reference = f[4]
	}
	return e, nil
}

// parseEntries reads all entries of a shopper, without what was returned.
func parseEntries(saleID int64, shopper, value string) ([]Entry, error) {
	var es []Entry
	for text := range strings.SplitSeq(value, "\n") {
		e, err := parseEntry(saleID, shopper, text)
		if err != nil {
			return nil, err
		}
		if e.ID != returnsID {
			es = append(es, e)
		}
	}
	return es, nil
}

func parseSlot(s string) (int, error) {
	if s == "-" {
		return noSlot, nil
	}
	return strconv.Atoi(s)
}

// entryOf formats an order that has a row as an entry in state s.
func entryOf(s EntryState, o *order.Order) string {
	b := append(make([]byte, 0, 64), byte(s))
	b = strconv.AppendInt(b, int64(o.ID), 10)
	b = strconv.AppendInt(append(b, ','), int64(max(o.Slot, 0)), 10)
	b = strconv.AppendInt(append(b, ','), int64(o.Quantity), 10)
	return string(append(b, entryTail(o.Key, "")...))
}

// entryTail formats what follows the quantity: key and reference, if any.
func entryTail(key uint64, reference string) string {
	switch {
	case reference != "":
		return "," + hexKey(key) + "," + reference
	case key != 0:
		return "," + hexKey(key)
	default:
		return ""
	}
}

// hexKey formats the hash of an idempotency key as 16 hex digits; empty for no key.
func hexKey(key uint64) string {
	if key == 0 {
		return ""
	}
	const digits = "0123456789abcdef"
	var b [16]byte
	for i := range b {
		b[i] = digits[key>>(60-4*i)&0xf]
	}
	return string(b[:])
}
