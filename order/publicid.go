package order

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
)

// ErrForged is the error of a public ID that was not made for this shopper.
var ErrForged = errors.New("order: forged public ID")

// minKeySize is the shortest key a Sealer takes: the hash's output size, as
// RFC 2104 recommends.
const minKeySize = 32

const publicIDSize = 24 // order ID, sale ID, MAC: 8 bytes each

// Sealer turns order IDs into the public IDs that shoppers see, and back. A
// public ID is base64url(order ID, sale ID, first 8 bytes of HMAC-SHA256(key,
// order ID, sale ID, shopper)): 32 characters that nobody can make or use for
// another shopper.
type Sealer struct{ keys [][]byte }

// NewSealer takes the key that seals and, for rotation, older ones that are
// still accepted. Keys are at least 32 bytes.
func NewSealer(keys ...[]byte) (*Sealer, error) {
	if len(keys) == 0 {
		return nil, errors.New("order: a sealer needs a key")
	}
	for _, k := range keys {
		if len(k) < minKeySize {
			return nil, errors.New("order: a sealing key needs at least 32 bytes")
		}
	}
	return &Sealer{keys: keys}, nil
}

// Seal returns the public ID of a shopper's order.
func (s *Sealer) Seal(id ID, saleID int64, shopper string) string {
	var b [publicIDSize]byte
	binary.BigEndian.PutUint64(b[:], uint64(id))
	binary.BigEndian.PutUint64(b[8:], uint64(saleID))
	sum := mac(s.keys[0], b[:16], shopper)
	copy(b[16:], sum[:8])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Open returns the order and sale of a public ID made for this shopper under
// any of the keys; else ErrForged.
func (s *Sealer) Open(public, shopper string) (ID, int64, error) {
	b, ok := decodePublicID(public)
	if !ok {
		return 0, 0, ErrForged
	}
	for _, key := range s.keys {
		sum := mac(key, b[:16], shopper)
		if hmac.Equal(sum[:8], b[16:]) {
			id, sale := int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint64(b[8:]))
			return ID(id), sale, nil
		}
	}
	return 0, 0, ErrForged
}

// PeekPublicID returns the order that a public ID names, whoever made it: Open
// tells whether it is genuine, once the shopper is known. The error is
// ErrForged.
func PeekPublicID(public string) (ID, error) {
	b, ok := decodePublicID(public)
	if !ok {
		return 0, ErrForged
	}
	id := ID(binary.BigEndian.Uint64(b))
	if id <= 0 {
		return 0, ErrForged
	}
	return id, nil
}

// decodePublicID also refuses line breaks, which base64 passes over: what is
// left would be too short.
func decodePublicID(public string) ([]byte, bool) {
	if len(public) != base64.RawURLEncoding.EncodedLen(publicIDSize) {
		return nil, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(public)
	return b, err == nil && len(b) == publicIDSize
}

func mac(key, ids []byte, shopper string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(ids)
	h.Write([]byte(shopper))
	return h.Sum(nil)
}

// KeyDigest returns the 8-byte digest under which an explicit idempotency key
// is kept; never 0, which stands for no key.
func KeyDigest(key string) uint64 {
	sum := sha256.Sum256([]byte(key))
	return max(1, binary.BigEndian.Uint64(sum[:]))
}
