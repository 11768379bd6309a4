package api

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
)

// inflight counts what is under way and refuses at the limit: there is no
// queue to hide in.
type inflight struct {
	n     atomic.Int64
	limit atomic.Int64
}

func (f *inflight) enter() bool {
	if f.n.Add(1) > f.limit.Load() {
		f.n.Add(-1)
		return false
	}
	return true
}

func (f *inflight) leave() { f.n.Add(-1) }

// address returns what a caller's address counts as. IPv6 counts by /64: a
// subscriber has that many.
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

// clientIP returns the caller's address as others know it; empty where there is
// none.
func clientIP(r *http.Request, trusted []netip.Prefix) string {
	if ip, ok := clientAddr(r, trusted); ok {
		return ip.String()
	}
	return ""
}

// clientAddr returns the address of the socket, or, behind a trusted proxy, the
// last one in X-Forwarded-For that is no trusted proxy: what stands before it
// was written by the caller. The header is read from its end, and no further
// than it is believed, so that a long one costs nothing.
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
			if err != nil { // a proxy that writes what is no address
				return ip, true
			}
			ip, line = plainAddr(next), line[:max(i, 0)]
		}
	}
	return ip, true
}

func plainAddr(ip netip.Addr) netip.Addr { return ip.Unmap().WithZone("") }
