package order

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash"
	"sync"
)

// ErrForged is the error of a public ID that is not this shopper's.
var ErrForged = errors.New("order: forged public ID")

// minKeySize is the minimum size of a key: the hash's output size, as RFC 2104
// recommends.
const minKeySize = 32

const publicIDSize = 24 // order ID, sale ID, MAC: 8 bytes each

// Sealer converts order IDs to the public IDs that shoppers see, and back. A public
// ID is base64url(order ID, sale ID, first 8 bytes of HMAC-SHA256(key, order ID, sale
// ID, shopper)): 32 characters that nobody can forge or use for another shopper.
type Sealer struct{ keys []*sync.Pool } // of macs, one for each key

// NewSealer takes the key that seals and, for rotation, older keys that are still
// accepted. Keys have at least 32 bytes.
func NewSealer(keys ...[]byte) (*Sealer, error) {
	if len(keys) == 0 {
		return nil, errors.New("order: a sealer needs a key")
	}
	s := &Sealer{}
	for _, k := range keys {
		if len(k) < minKeySize {
			return nil, errors.New("order: a sealing key needs at least 32 bytes")
		}
		s.keys = append(s.keys, &sync.Pool{New: func() any { return &mac{Hash: hmac.New(sha256.New, k)} }})
	}
	return s, nil
}

// Seal returns the public ID of a shopper's order.
func (s *Sealer) Seal(id ID, saleID int64, shopper string) string {
	var b [publicIDSize]byte
	binary.BigEndian.PutUint64(b[:], uint64(id))
	binary.BigEndian.PutUint64(b[8:], uint64(saleID))
	sum := seal(s.keys[0], b[:16], shopper)
	copy(b[16:], sum[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Open returns the order and sale of a public ID that any of the keys sealed for
// this shopper; else ErrForged.
func (s *Sealer) Open(public, shopper string) (ID, int64, error) {
	b, ok := decodePublicID(public)
	if !ok {
		return 0, 0, ErrForged
	}
	for _, key := range s.keys {
		sum := seal(key, b[:16], shopper)
		if hmac.Equal(sum[:], b[16:]) {
			id, sale := int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint64(b[8:]))
			return ID(id), sale, nil
		}
	}
	return 0, 0, ErrForged
}

// PeekPublicID returns the order in a public ID without verifying it: that is for
// Open, once the shopper is known. The error is ErrForged.
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

// decodePublicID also refuses line breaks, which base64 ignores: the rest would be
// too short.
func decodePublicID(public string) ([]byte, bool) {
	if len(public) != base64.RawURLEncoding.EncodedLen(publicIDSize) {
		return nil, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(public)
	return b, err == nil && len(b) == publicIDSize
}

// mac is a reusable MAC: its key schedule costs as much as a seal.
type mac struct {
	hash.Hash
	text []byte
	sum  [sha256.Size]byte
}

func seal(key *sync.Pool, ids []byte, shopper string) (sum [8]byte) {
	h, _ := key.Get().(*mac)
	defer key.Put(h)
	h.Reset()
	h.text = append(append(h.text[:0], ids...), shopper...)
	_, _ = h.Write(h.text) // never fails
	copy(sum[:], h.Sum(h.sum[:0]))
	return sum
}

// KeyDigest returns the 8-byte digest of an idempotency key. It is never 0, which
// means no key.
func KeyDigest(key string) uint64 {
	sum := sha256.Sum256([]byte(key))
	return max(1, binary.BigEndian.Uint64(sum[:]))
}
