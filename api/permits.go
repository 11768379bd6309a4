package api

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"seckill/catalog"
	"seckill/internal/appendjson"
	"seckill/internal/denial"
	"seckill/internal/problem"
	"seckill/internal/strictjson"
)

// HeaderPermit carries the permit of a purchase, where the sale requires one.
const HeaderPermit = "Purchase-Permit"

const (
	permitInfo       = "seckill purchase permit" // separates these keys from others derived from the same secrets
	permitMAC        = 16
	permitSize       = 8 + permitMAC
	minPermitKey     = 32
	challengeTimeout = 5 * time.Second
)

// Permits issues purchase permits and checks them without a store. A permit is
// base64url(expiry in Unix milliseconds, first 16 bytes of HMAC-SHA256(key, expiry,
// sale ID, shopper)): 32 characters that are good for one shopper, one sale and a
// short time. In a sale with attempts_per_shopper it is spent when an order of the
// shopper is returned: Redis compares the time at which it was issued with that of
// the shopper's last return, which it has anyway. So nothing is kept of a permit, and
// what is spent stays so as long as that time is known.
type Permits struct {
	keys  [][]byte
	valid time.Duration
}

// NewPermits derives a key from each of the secrets, which may be used elsewhere
// too: the first signs, all are accepted. Each needs at least 32 bytes.
func NewPermits(secrets [][]byte, valid time.Duration) (*Permits, error) {
	if len(secrets) == 0 || valid <= 0 {
		return nil, errors.New("api: permits need a secret and a time for which they are valid")
	}
	p := &Permits{valid: valid}
	for _, secret := range secrets {
		if len(secret) < minPermitKey {
			return nil, fmt.Errorf("api: a secret for permits needs at least %d bytes", minPermitKey)
		}
		key, err := hkdf.Key(sha256.New, secret, nil, permitInfo, sha256.Size)
		if err != nil {
			return nil, fmt.Errorf("api: permits: %w", err)
		}
		p.keys = append(p.keys, key)
	}
	return p, nil
}

// issue returns a permit and when it expires.
func (p *Permits) issue(saleID int64, shopper string, now time.Time) (string, time.Time) {
	until := now.Add(p.valid).Truncate(time.Millisecond)
	var b [permitSize]byte
	binary.BigEndian.PutUint64(b[:], uint64(until.UnixMilli()))
	copy(b[8:], permitSum(p.keys[0], b[:8], saleID, shopper))
	return base64.RawURLEncoding.EncodeToString(b[:]), until
}

// check returns when a permit was issued, and why it does not allow this purchase, as
// package denial names it; empty for one that was issued for it and has not expired. An
// expired one is said to be that only if it is genuine. While processes differ in how
// long permits are valid, the time is wrong by the difference.
func (p *Permits) check(permit string, saleID int64, shopper string, now time.Time) (issued time.Time, fault string) {
	if len(permit) != base64.RawURLEncoding.EncodedLen(permitSize) {
		return issued, "malformed"
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(permit)
	if err != nil || len(b) != permitSize {
		return issued, "malformed"
	}
	until := time.UnixMilli(int64(binary.BigEndian.Uint64(b)))
	genuine := func(key []byte) bool { return hmac.Equal(b[8:], permitSum(key, b[:8], saleID, shopper)) }
	switch {
	case !slices.ContainsFunc(p.keys, genuine):
		return issued, "forged"
	case !now.Before(until):
		return issued, "expired"
	default:
		return until.Add(-p.valid), ""
	}
}

func permitSum(key, expiry []byte, saleID int64, shopper string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(expiry)
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(saleID)))
	h.Write([]byte(shopper))
	return h.Sum(nil)[:permitMAC]
}

// checkPermit refuses a purchase without the permit that its sale requires, and
// returns when the permit was issued; zero where none is required.
func (s *Server) checkPermit(r *http.Request, sale *catalog.Snapshot, shopper string) (issued time.Time, err error) {
	if !sale.RequirePermit {
		return issued, nil
	}
	values := r.Header[HeaderPermit]
	fault := "malformed"
	switch len(values) {
	case 0:
		return issued, problem.New(permitRequired, denial.New(denial.Permit, "missing", nil))
	case 1:
		issued, fault = s.permits.check(values[0], sale.ID, shopper, s.catalog.Now())
	}
	if fault != "" {
		return issued, problem.New(permitInvalid, denial.New(denial.Permit, fault, nil))
	}
	return issued, nil
}

// issuePermit answers POST /v1/sales/{id}/permits. What would refuse the purchase
// refuses the permit: there is none before the sale is open.
func (s *Server) issuePermit(c echo.Context) error {
	w, r := c.Response(), c.Request()
	sale, err := s.onSale(r.Context(), c.Param("id"))
	if err != nil {
		return err
	}
	shopper, err := s.buyer(r, sale)
	if err != nil {
		return err
	}
	if !sale.RequirePermit {
		return &problem.Failure{Type: notFound, Detail: &noPermits}
	}
	answer, err := readChallenge(r)
	if err != nil {
		return err
	}
	if !s.permitting.enter() {
		return problem.New(overloaded, nil)
	}
	defer s.permitting.leave()
	if err := s.checkChallenge(r, shopper, answer); err != nil {
		return err
	}
	permit, until := s.permits.issue(sale.ID, shopper, s.catalog.Now())
	buf := takeBuffer()
	defer buf.release()
	b := buf.b
	b = append(b, `{"permit":"`...)
	b = append(b, permit...)
	b = append(b, `","expires_at":`...)
	b = appendjson.Time(b, until)
	b = append(b, '}')
	buf.b = b
	w.Header()["Cache-Control"] = noStore
	writeJSON(w, http.StatusOK, buf.b)
	return nil
}

// readChallenge reads the answer to a challenge, which may be missing.
func readChallenge(r *http.Request) (answer string, err error) {
	err = readObject(r, challengeFields, func(_ string, value []byte) (ok bool) {
		answer, ok = strictjson.String(value)
		return ok
	})
	return answer, err
}

// checkChallenge checks the answer to the challenge, if there is one. An answer
// that cannot be checked does not pass.
func (s *Server) checkChallenge(r *http.Request, shopper, answer string) error {
	if s.challenge == nil {
		return nil
	}
	if answer == "" {
		return problem.New(challengeFailed, denial.New(denial.Challenge, "missing", nil))
	}
	if !s.checks.enter(shopper) {
		return tooOften(time.Second)
	}
	defer s.checks.leave(shopper)
	ctx, cancel := context.WithTimeout(r.Context(), challengeTimeout)
	defer cancel()
	passed, err := s.challenge.Check(ctx, answer, s.clientIP(r))
	switch {
	case err != nil:
		return &problem.Failure{Type: dependencyDown, Detail: &challengeUnchecked, Cause: err}
	case !passed:
		return problem.New(challengeFailed, denial.New(denial.Challenge, "failed", nil))
	}
	return nil
}
