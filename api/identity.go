package api

import (
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"seckill/catalog"
	"seckill/internal/auth"
	"seckill/internal/denial"
	"seckill/internal/problem"
)

// identify returns who sent the request, by its token, unless the shopper asks
// too often.
func (s *Server) identify(r *http.Request) (auth.Identity, error) {
	values := r.Header["Authorization"]
	if len(values) == 0 {
		return auth.Identity{}, &problem.Failure{Type: unauthenticated, Cause: denial.New(denial.Shopper, "no_token", nil), Challenge: "Bearer"}
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if !ok || len(values) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return auth.Identity{}, &problem.Failure{Type: unauthenticated, Cause: denial.New(denial.Shopper, "malformed", nil), Challenge: "Bearer"}
	}
	who, err := s.tokens.Verify(token)
	if err != nil {
		return who, &problem.Failure{Type: unauthenticated, Cause: denial.OfToken(denial.Shopper, err), Challenge: `Bearer error="invalid_token"`}
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
		err = problem.New(forbidden, denial.New(denial.Shopper, "claim", nil))
	}
	return who.Shopper, err
}

func tooOften(late time.Duration) *problem.Failure {
	n := seconds(late)
	return &problem.Failure{Type: rateLimited, Retry: problem.RetryAfter(n, n+rateLimited.RetryMax)}
}

// addressLimit takes a request out of its address's bucket. It comes before the
// token's check, which costs more, and forged tokens count too. A payment callback
// only finds the bucket empty: all good ones come from the provider's address, and
// only those with a bad signature count (see pay).
func (s *Server) addressLimit(r *http.Request, route string) error {
	if !s.addresses.On() {
		return nil
	}
	take := s.addresses.Take
	if route == routePay {
		take = s.addresses.Look
	}
	if late, ok := take(s.address(r)); !ok {
		return tooOften(late)
	}
	return nil
}

// address returns what the client's address counts as.
func (s *Server) address(r *http.Request) string {
	if ip, ok := s.clientAddr(r); ok {
		return denial.Source(ip)
	}
	return r.RemoteAddr
}

// clientIP returns the client's address; empty if it has none.
func (s *Server) clientIP(r *http.Request) string {
	if ip, ok := s.clientAddr(r); ok {
		return ip.String()
	}
	return ""
}

// clientAddr is forwardedFor, and says in the log what it could not read: all
// shoppers behind that proxy count as one then.
func (s *Server) clientAddr(r *http.Request) (netip.Addr, bool) {
	ip, unread := forwardedFor(r, s.trustedProxies)
	if unread != "" {
		s.errorLog.error(r.Context(), "a trusted proxy's X-Forwarded-For cannot be read: the request counts for the proxy's address",
			slog.String("proxy", ip.String()), slog.String("header", clip(unread)))
	}
	return ip, ip.IsValid()
}

// forwardedFor returns the address of the socket or, behind a trusted proxy, the
// last one in X-Forwarded-For that is not a trusted proxy: the client wrote what
// stands before it. The header is read from its end, and no further than it is
// trusted, so that a long one costs nothing. unread is what a trusted proxy wrote
// and is no address.
func forwardedFor(r *http.Request, trusted []netip.Prefix) (ip netip.Addr, unread string) {
	socket, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}, ""
	}
	ip = plainAddr(socket.Addr())
	for _, line := range slices.Backward(r.Header["X-Forwarded-For"]) {
		for line != "" {
			if !slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(ip) }) {
				return ip, ""
			}
			i := strings.LastIndexByte(line, ',')
			next, ok := parseForwarded(strings.Trim(line[i+1:], " \t"))
			if !ok {
				return ip, line[i+1:]
			}
			ip, line = plainAddr(next), line[:max(i, 0)]
		}
	}
	return ip, ""
}

// parseForwarded reads an address as proxies write it: alone, with a port (Azure
// Application Gateway does, as do AWS load balancers that are told to keep it), in
// brackets, in quotes (as RFC 7239 has it).
func parseForwarded(text string) (netip.Addr, bool) {
	if n := len(text); n > 2 && text[0] == '"' && text[n-1] == '"' {
		text = text[1 : n-1]
	}
	if ip, err := netip.ParseAddr(text); err == nil {
		return ip, true
	}
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return ap.Addr(), true
	}
	inner, opened := strings.CutPrefix(text, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	ip, err := netip.ParseAddr(inner)
	return ip, opened && closed && err == nil && ip.Is6()
}

func plainAddr(ip netip.Addr) netip.Addr { return ip.Unmap().WithZone("") }
