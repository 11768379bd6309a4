package api

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"seckill/catalog"
	"seckill/internal/auth"
	"seckill/internal/problem"
)

// identify returns who sent the request, by its token, unless the shopper or the
// address asks too often. The address comes first: its check is cheaper than
// that of a token, and forged tokens count too.
func (s *Server) identify(r *http.Request) (auth.Identity, error) {
	if s.addresses.On() {
		if late, ok := s.addresses.Take(address(r, s.trustedProxies)); !ok {
			return auth.Identity{}, tooOften(late)
		}
	}
	values := r.Header["Authorization"]
	if len(values) == 0 {
		return auth.Identity{}, &problem.Failure{Type: unauthenticated, Challenge: "Bearer"}
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if !ok || len(values) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return auth.Identity{}, &problem.Failure{Type: unauthenticated, Challenge: "Bearer"}
	}
	who, err := s.tokens.Verify(token)
	if err != nil {
		return who, &problem.Failure{Type: unauthenticated, Cause: err, Challenge: `Bearer error="invalid_token"`}
	}
	if late, ok := s.shoppers.Take(who.Shopper); !ok {
		return who, tooOften(late)
	}
	return who, nil
}

// shopper is identify for handlers that need only the shopper's ID.
func (s *Server) shopper(r *http.Request) (string, error) {
	who, err := s.identify(r)
	return who.Shopper, err
}

// buyer returns the shopper if they may buy in this sale.
func (s *Server) buyer(r *http.Request, sale *catalog.Snapshot) (string, error) {
	who, err := s.identify(r)
	if err == nil && sale.RequireClaim != "" && !who.Holds(sale.RequireClaim) {
		err = problem.New(forbidden, nil)
	}
	return who.Shopper, err
}

func tooOften(late time.Duration) *problem.Failure {
	n := seconds(late)
	return &problem.Failure{Type: rateLimited, Retry: problem.RetryAfter(n, n+rateLimited.RetryMax)}
}

// address returns what the client's address counts as. IPv6 counts by /64, which
// is what one subscriber has.
func address(r *http.Request, trusted []netip.Prefix) string {
	ip, ok := clientAddr(r, trusted)
	switch {
	case !ok:
		return r.RemoteAddr
	case ip.Is6():
		return netip.PrefixFrom(ip, 64).Masked().String()
	default:
		return ip.String()
	}
}

// clientIP returns the client's address; empty if it has none.
func clientIP(r *http.Request, trusted []netip.Prefix) string {
	if ip, ok := clientAddr(r, trusted); ok {
		return ip.String()
	}
	return ""
}

// clientAddr returns the address of the socket or, behind a trusted proxy, the
// last one in X-Forwarded-For that is not a trusted proxy: the client wrote what
// stands before it. The header is read from its end, and no further than it is
// trusted, so that a long one costs nothing.
func clientAddr(r *http.Request, trusted []netip.Prefix) (netip.Addr, bool) {
	socket, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}, false
	}
	ip := plainAddr(socket.Addr())
	for _, line := range slices.Backward(r.Header["X-Forwarded-For"]) {
		for line != "" {
			if !slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(ip) }) {
				return ip, true
			}
			i := strings.LastIndexByte(line, ',')
			next, err := netip.ParseAddr(strings.TrimSpace(line[i+1:]))
			if err != nil { // the proxy wrote something else than an address
				return ip, true
			}
			ip, line = plainAddr(next), line[:max(i, 0)]
		}
	}
	return ip, true
}

func plainAddr(ip netip.Addr) netip.Addr { return ip.Unmap().WithZone("") }
