package order

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// codecVersion is the first byte of a message. A field added at the end keeps the
// version: readers ignore what follows the fields they know, and the MAC at the very
// end (see Signer). Only a change that an older reader would misread takes the next number.
const codecVersion = 1

// ErrMalformed is the error of a message body that is not an order. The message
// becomes a dead letter.
var ErrMalformed = errors.New("order: malformed message")

// ErrNewerVersion is the error of a message from a newer program, which is for a reader
// of that version.
var ErrNewerVersion = errors.New("order: message of a newer version")

// fixedSize: version, order ID, sale ID, key, slot, quantity (4).
const fixedSize = 1 + 8 + 8 + 8 + 1 + 4

// AppendMessage appends the message body of o to dst, without a MAC.
func AppendMessage(dst []byte, o Order) []byte {
	dst = append(dst, codecVersion)
	dst = binary.BigEndian.AppendUint64(dst, uint64(o.ID))
	dst = binary.BigEndian.AppendUint64(dst, uint64(o.SaleID))
	dst = binary.BigEndian.AppendUint64(dst, o.Key)
	dst = append(dst, byte(o.Slot))
	dst = binary.BigEndian.AppendUint32(dst, uint32(o.Quantity))
	dst = append(dst, byte(len(o.ShopperID)))
	dst = append(dst, o.ShopperID...)
	dst = append(dst, byte(len(o.Reference)))
	return append(dst, o.Reference...)
}

// DecodeMessage reads a message body, whoever wrote it, and checks every field's range.
// The error is ErrMalformed or ErrNewerVersion.
func DecodeMessage(body []byte) (Order, error) {
	o, _, err := decode(body)
	return o, err
}

// decode also returns what follows the fields.
func decode(body []byte) (o Order, rest []byte, err error) {
	if len(body) == 0 {
		return Order{}, nil, fmt.Errorf("%w: empty", ErrMalformed)
	}
	if body[0] > codecVersion && body[0] < 0x20 { // text, such as '{', is no version
		return Order{}, nil, fmt.Errorf("%w: %d", ErrNewerVersion, body[0])
	}
	if body[0] != codecVersion || len(body) < fixedSize {
		return Order{}, nil, fmt.Errorf("%w: %d bytes", ErrMalformed, len(body))
	}
	o = Order{
		ID:       ID(binary.BigEndian.Uint64(body[1:])),
		SaleID:   int64(binary.BigEndian.Uint64(body[9:])),
		Key:      binary.BigEndian.Uint64(body[17:]),
		Slot:     int(body[25]),
		Quantity: int(binary.BigEndian.Uint32(body[26:])),
	}
	var ok bool
	if o.ShopperID, rest, ok = cutString(body[fixedSize:]); !ok {
		return Order{}, nil, fmt.Errorf("%w: shopper", ErrMalformed)
	}
	if o.Reference, rest, ok = cutString(rest); !ok {
		return Order{}, nil, fmt.Errorf("%w: reference", ErrMalformed)
	}
	if err := o.Validate(); err != nil {
		return Order{}, nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return o, rest, nil
}

// cutString takes a string with its length in one byte off the front of b.
func cutString(b []byte) (s string, rest []byte, ok bool) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return "", nil, false
	}
	n := 1 + int(b[0])
	return string(b[1:n]), b[n:], true
}
