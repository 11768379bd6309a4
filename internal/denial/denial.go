// Package denial counts and logs refused credentials: tokens of shoppers and
// operators, payment callbacks, permits, answers to challenges. A client is told
// that its credential is not valid, and no more; an operator learns the cause. Every
// refusal is counted, but only a few a second are logged, and no credential is.
package denial

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"seckill/internal/ratelimit"
)

// Kind is what was refused.
type Kind string

// The kinds.
const (
	Shopper   Kind = "shopper"   // a shopper's token, or what it allows
	Operator  Kind = "operator"  // an operator's
	Payment   Kind = "payment"   // a payment callback
	Permit    Kind = "permit"    // a purchase permit
	Challenge Kind = "challenge" // the answer to a challenge
)

// Other is counted for a cause that is not in the table.
const Other = "other"

// ofTokens are the causes that tokens of both kinds have.
var ofTokens = []string{
	"no_token",      // none was sent
	"malformed",     // it is no JWT, or was sent twice or by another scheme
	"too_long",      // above 4 KiB
	"algorithm",     // one that we do not take, none included
	"key_unknown",   // its kid names no key of ours, or one of another algorithm
	"signature",     // it is not signed by that key: forged, or signed by an old secret
	"issuer",        // it is not our issuer's
	"audience",      // it is for another service
	"claim_missing", // it lacks exp, iss or aud
	"expired",       //
	"not_yet_valid", // its nbf is in the future: clocks differ
	"subject",       // its sub is no shopper's ID, or no operator's name
}

// causes are all values of the label cause, by kind.
var causes = map[Kind][]string{
	Shopper:  append(slices.Clone(ofTokens), "claim"), // the sale requires one that the token lacks
	Operator: append(slices.Clone(ofTokens), "lifetime", "denied", "role"),
	Payment: {
		"header",        // a webhook header is missing or malformed
		"time",          // it was sent more than 5 minutes ago, or is dated ahead
		"signature",     // it matches no secret
		"body",          // signed, and not a payment
		"order_unknown", // signed, of an order that is not ours or has no result
		"event_reused",  // signed, and the event was another payment
		"wrong_amount",  // signed, and not what the order costs
		"rate_limited",  // its address has sent too many with a bad signature
	},
	Permit: {
		"missing",   //
		"malformed", // it is no permit, or was sent twice
		"expired",   //
		"forged",    // issued by nobody, or to another shopper, or for another sale
	},
	Challenge: {
		"missing", //
		"failed",  // the provider refused the answer
	},
}

// Error is why a credential was refused.
type Error struct {
	Kind  Kind
	Cause string
	Err   error // more about it, for the log; may be nil. It holds no credential
}

// New returns an Error; err may be nil.
func New(kind Kind, cause string, err error) *Error { return &Error{kind, cause, err} }

// OfToken returns the Error of a token; err may say its Cause and KeyID.
func OfToken(kind Kind, err error) *Error {
	cause := Other
	if e, ok := errors.AsType[interface {
		error
		Cause() string
	}](err); ok {
		cause = e.Cause()
	}
	return &Error{kind, cause, err}
}

func (e *Error) Error() string {
	text := string(e.Kind) + " refused: " + e.Cause
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns more about it.
func (e *Error) Unwrap() error { return e.Err }

// The pace of the log, for each kind and cause.
const (
	logsPerSecond = 2
	logsAtOnce    = 10
	linesKept     = 128 // more than there are causes
)

// Recorder counts and logs. Safe for concurrent use.
type Recorder struct {
	log  *slog.Logger
	rate *ratelimit.Limiter
	by   map[Kind]map[string]*series
}

// series is one cause of a kind.
type series struct {
	refused prometheus.Counter
	skipped atomic.Int64 // lines
}

// NewRecorder returns a Recorder of some kinds. Several may register with one
// registry; nil: nobody reads the counters.
func NewRecorder(reg prometheus.Registerer, log *slog.Logger, kinds ...Kind) *Recorder {
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "seckill_credentials_refused_total",
		Help: "Tokens, payment callbacks, permits and answers to challenges refused, by kind and cause.",
	}, []string{"kind", "cause"})
	if reg != nil {
		err := reg.Register(refused)
		if known, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
			refused, _ = known.ExistingCollector.(*prometheus.CounterVec)
		} else if err != nil {
			panic(err) // as promauto does
		}
	}
	r := &Recorder{log: log, rate: ratelimit.New(logsPerSecond, logsAtOnce, linesKept), by: map[Kind]map[string]*series{}}
	for _, kind := range kinds {
		r.by[kind] = map[string]*series{}
		for _, cause := range append(slices.Clone(causes[kind]), Other) {
			r.by[kind][cause] = &series{refused: refused.WithLabelValues(string(kind), cause)}
		}
	}
	return r
}

// Record counts err, and logs it with attrs, if it is an Error of one of the kinds. It
// does nothing for any other error.
func (r *Recorder) Record(ctx context.Context, err error, attrs ...slog.Attr) {
	e, ok := errors.AsType[*Error](err)
	if !ok || r.by[e.Kind] == nil {
		return
	}
	s := r.by[e.Kind][e.Cause]
	if s == nil {
		s = r.by[e.Kind][Other]
	}
	s.refused.Inc()
	if _, ok := r.rate.Take(string(e.Kind) + " " + e.Cause); !ok {
		s.skipped.Add(1)
		return
	}
	attrs = append([]slog.Attr{slog.String("kind", string(e.Kind)), slog.String("cause", e.Cause)}, attrs...)
	attrs = append(attrs, e.details()...)
	if n := s.skipped.Swap(0); n > 0 {
		attrs = append(attrs, slog.Int64("lines_skipped", n))
	}
	r.log.LogAttrs(ctx, slog.LevelWarn, "refused", attrs...)
}

// details are what the log has besides the cause: the kid of a token, or what is known
// of any other refusal.
func (e *Error) details() []slog.Attr {
	token, ok := errors.AsType[interface {
		error
		KeyID() string
	}](e.Err)
	switch {
	case ok && token.KeyID() != "":
		return []slog.Attr{slog.String("kid", token.KeyID())}
	case ok || e.Err == nil:
		return nil
	default:
		return []slog.Attr{slog.String("detail", e.Err.Error())}
	}
}

// ipv6Subscriber is the size of the network that one subscriber has.
const ipv6Subscriber = 64

// Source is the network that an address counts as: the address itself, or the /64 of
// an IPv6 address.
func Source(ip netip.Addr) string {
	if ip.Is6() {
		return netip.PrefixFrom(ip, ipv6Subscriber).Masked().String()
	}
	return ip.String()
}

// SocketSource is the Source of a request's connection.
func SocketSource(r *http.Request) string {
	socket, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return Source(socket.Addr().Unmap().WithZone(""))
}
