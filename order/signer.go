package order

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
)

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
