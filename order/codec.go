package order

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
)

// codecVersion is the first byte of a message. A field added at the end keeps the
// version: readers ignore what follows the fields they know, and the MAC at the very
// end (see Signer). Only a change that an older reader would misread takes the next
// number.
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

// Errors of messages that no holder of a key has signed. They become dead letters.
var (
	// ErrUnsigned: an order without a MAC, as a version that did not sign sends it.
	ErrUnsigned = errors.New("order: message without a MAC")
	// ErrBadMAC: a MAC under no key of ours, or none where there must be one.
	ErrBadMAC = errors.New("order: message with a MAC of none of our keys")
)

// macSize is half of the hash, the shortest that RFC 2104 recommends.
const macSize = 16

// Signer signs the messages of orders, and reads signed ones: whoever may write to the
// topic can otherwise make orders that no API has accepted. The MAC is the end of the
// body, whatever the version: a reader that does not know it ignores it. It is
//
//	HMAC-SHA256(HKDF-SHA256(key, "seckill order message " topic), body before it)[:16]
//
// so it is good for no other purpose of the key, and on no other topic. A message that
// is sent again stays valid; it is the same order, by its ID.
type Signer struct{ keys []*sync.Pool } // of macs, one for each key

// NewSigner takes the full name of the topic, the key that signs and, for rotation,
// other keys that are still, or already, accepted. Keys have at least 32 bytes.
func NewSigner(topic string, keys ...[]byte) (*Signer, error) {
	if len(keys) == 0 {
		return nil, errors.New("order: a signer needs a key")
	}
	s := &Signer{}
	for _, k := range keys {
		if len(k) < minKeySize {
			return nil, errors.New("order: a signing key needs at least 32 bytes")
		}
		own, err := hkdf.Key(sha256.New, k, nil, "seckill order message "+topic, sha256.Size)
		if err != nil {
			return nil, fmt.Errorf("order: derive a key: %w", err)
		}
		s.keys = append(s.keys, &sync.Pool{New: func() any { return &mac{Hash: hmac.New(sha256.New, own)} }})
	}
	return s, nil
}

// Append appends the signed message of o to dst.
func (s *Signer) Append(dst []byte, o Order) []byte {
	start := len(dst)
	dst = AppendMessage(dst, o)
	sum := sign(s.keys[0], dst[start:])
	return append(dst, sum[:]...)
}

// Decode reads a message that one of the keys has signed. The error is ErrUnsigned,
// ErrBadMAC, ErrMalformed or, of a signed message only, ErrNewerVersion.
func (s *Signer) Decode(body []byte) (Order, error) {
	if n := len(body) - macSize; n > 0 {
		for _, key := range s.keys {
			if sum := sign(key, body[:n]); hmac.Equal(sum[:], body[n:]) {
				return DecodeMessage(body[:n])
			}
		}
	}
	_, rest, err := decode(body)
	switch {
	case err == nil && len(rest) == 0:
		return Order{}, ErrUnsigned
	case err == nil:
		return Order{}, ErrBadMAC
	case errors.Is(err, ErrNewerVersion): // each of them signs
		return Order{}, fmt.Errorf("%w, under version %d", ErrBadMAC, body[0])
	}
	return Order{}, err
}

func sign(key *sync.Pool, text []byte) (sum [macSize]byte) {
	h, _ := key.Get().(*mac)
	defer key.Put(h)
	h.Reset()
	_, _ = h.Write(text) // never fails
	copy(sum[:], h.Sum(h.sum[:0]))
	return sum
}
