package api

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/internal/problem"
	"seckill/order"
)

// A page of a list is within the limits, of this sale, and goes on only from an
// order of this shopper; everything else is a validation problem.
func FuzzListQuery(f *testing.F) {
	sealer, err := order.NewSealer(bytes.Repeat([]byte{7}, 32))
	require.NoError(f, err)
	s := &Server{sealer: sealer}
	for _, q := range []string{
		"sale_id=7001", "sale_id=7001&limit=100&cursor=" + sealer.Seal(99, 7001, "42"), "sale_id=7002&cursor=" + sealer.Seal(99, 7001, "42"),
		"sale_id=7001&cursor=" + sealer.Seal(99, 7001, "43"), "sale_id=07001", "sale_id=1&sale_id=2", "limit=0&sale_id=1", "limit=1e1&sale_id=1", "cursor=%00&sale_id=1", "%zz",
	} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, query string) {
		q, _ := url.ParseQuery(query) // what it could read, as URL.Query has it
		p, err := s.parsePage(q, "42")
		if err != nil {
			f, ok := errors.AsType[*problem.Failure](err)
			require.True(t, ok)
			require.Same(t, validation, f.Type)
			return
		}
		require.Positive(t, p.saleID)
		require.LessOrEqual(t, p.limit, largestPage)
		require.Positive(t, p.limit)
		if q.Get("cursor") == "" {
			require.EqualValues(t, math.MaxInt64, p.before)
		} else {
			require.Equal(t, sealer.Seal(p.before, p.saleID, "42"), q.Get("cursor"))
		}
	})
}

// A permit that is good is one that was issued, to the letter.
func FuzzPermit(f *testing.F) {
	p, err := NewPermits([][]byte{bytes.Repeat([]byte{7}, 32)}, time.Minute)
	require.NoError(f, err)
	now := time.UnixMilli(1_780_000_000_000)
	good, _ := p.issue(7001, "42", now)
	over, _ := p.issue(7001, "42", now.Add(-time.Hour))
	for _, permit := range []string{good, over, good[:31] + "A", good + "=", "", strings.Repeat("A", 32), "_" + good[1:], good + "\n", good[:10] + "\n" + good[11:], strings.Repeat("\r", 32)} {
		f.Add(permit, int64(7001), "42")
	}
	f.Fuzz(func(t *testing.T, permit string, saleID int64, shopper string) {
		if issued, fault := p.check(permit, saleID, shopper, now); fault == "" {
			require.Equal(t, now, issued)
			require.Equal(t, good, permit)
			require.Equal(t, int64(7001), saleID)
			require.Equal(t, "42", shopper)
		}
	})
}

// Whatever a caller writes before what the proxy added does not matter.
func FuzzForwardedFor(f *testing.F) {
	for _, line := range []string{"", "1.2.3.4", "9.9.9.9, 10.0.0.1", ",,", "::1", "[::1]:80", "fe80::1%eth0", "::ffff:10.0.0.1", strings.Repeat("10.0.0.1,", 1000), "unknown"} {
		f.Add(line)
	}
	s := &Server{trustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, errorLog: newErrorLog(slog.New(slog.DiscardHandler))}
	f.Fuzz(func(t *testing.T, line string) {
		r := &http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{"X-Forwarded-For": {line, line + ", 203.0.113.9"}}}
		require.Equal(t, "203.0.113.9", s.address(r))
		r.Header = http.Header{"X-Forwarded-For": {line}}
		require.NotEmpty(t, s.address(r))
		r.RemoteAddr = "198.51.100.1:1"
		require.Equal(t, "198.51.100.1", s.clientIP(r))
	})
}
