// Package breaker guards a dependency with sony/gobreaker. Calls go through Do;
// Ready reports in advance whether the dependency may be called. A probe calls the
// dependency every second. So an idle process notices an outage, and no shopper's
// order has to test whether the outage is over.
package breaker

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// ErrOpen is the error of a call that was not made because the breaker is not
// closed.
var ErrOpen = errors.New("breaker: open")

const (
	openFor  = 5 * time.Second // time before a probe is let through
	failures = 3               // failures in a row that open the breaker
	probing  = time.Second     // time between probes
)

// Breaker guards one dependency. Safe for concurrent use.
type Breaker struct {
	cb      *gobreaker.CircuitBreaker[struct{}]
	probe   func(context.Context) error
	observe func(took time.Duration, err error)
	last    atomic.Pointer[error] // error of the last failed call, for the log
	open    atomic.Bool           // not closed; gobreaker's own state costs every purchase a lock and a clock reading
}

// Options of a Breaker.
type Options struct {
	Name string
	// Failed reports whether an error is the dependency's fault; nil counts every
	// error.
	Failed func(error) bool
	// Ignored reports whether an error is neither a success nor a failure of the
	// dependency, such as having no free connection; may be nil. The caller's own
	// cancellation is always ignored.
	Ignored func(error) bool
	// Probe tests the dependency; Run calls it through the breaker once a second.
	Probe func(context.Context) error
	// OnChange is called at each change of state; may be nil.
	OnChange func(name, state string)
	// Observe is called after each call, probes included, with its duration and
	// whether it failed. Ignored errors are not counted. It may be nil.
	Observe func(took time.Duration, failed bool)
	Log     *slog.Logger
}

// New returns a closed Breaker. It probes only while Run runs.
func New(o Options) *Breaker {
	b := &Breaker{probe: o.Probe}
	failed := func(err error) bool { return err != nil && (o.Failed == nil || o.Failed(err)) }
	ignored := func(err error) bool {
		return errors.Is(err, context.Canceled) || o.Ignored != nil && o.Ignored(err)
	}
	b.observe = func(took time.Duration, err error) {
		if o.Observe != nil && !ignored(err) {
			o.Observe(took, failed(err))
		}
	}
	st := gobreaker.Settings{
		Name:        o.Name,
		MaxRequests: 1,
		Timeout:     openFor,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= failures },
		OnStateChange: func(name string, from, to gobreaker.State) {
			b.open.Store(to != gobreaker.StateClosed)
			attrs := []any{"name", name, "from", from.String(), "to", to.String()}
			if err := b.last.Swap(nil); err != nil {
				attrs = append(attrs, "err", *err)
			}
			o.Log.Warn("breaker changed state", attrs...)
			if o.OnChange != nil {
				o.OnChange(name, to.String())
			}
		},
		IsSuccessful: func(err error) bool { return !failed(err) },
		IsExcluded:   ignored,
	}
	b.cb = gobreaker.NewCircuitBreaker[struct{}](st)
	return b
}

// Do calls fn through the breaker. It returns fn's error, or ErrOpen when fn was
// not called.
func (b *Breaker) Do(fn func() error) error {
	_, err := b.cb.Execute(func() (struct{}, error) {
		began := time.Now()
		err := fn()
		b.observe(time.Since(began), err)
		if err != nil {
			b.last.Store(&err)
		}
		return struct{}{}, err
	})
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return ErrOpen
	}
	return err
}

// Name returns the dependency's name.
func (b *Breaker) Name() string { return b.cb.Name() }

// Ready returns ErrOpen unless the breaker is closed.
func (b *Breaker) Ready() error {
	if b.open.Load() {
		return ErrOpen
	}
	return nil
}

// Run probes the dependency once a second until ctx is done.
func (b *Breaker) Run(ctx context.Context) error {
	t := time.NewTicker(probing)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		_ = b.Do(func() error { // the breaker counts it, and logs a change of state
			ctx, cancel := context.WithTimeout(ctx, 2*probing)
			defer cancel()
			return b.probe(ctx)
		})
	}
}
