// Package breaker guards a dependency with sony/gobreaker. Calls go through Do;
// Ready tells, before anything is done, whether the dependency may be asked. A
// probe of our own tries the dependency every second, so that an idle process
// notices an outage and no shopper's order has to find out that it is over.
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
	openFor  = 5 * time.Second // before a probe is let through
	failures = 3               // in a row that open it
	probing  = time.Second     // between probes
)

// Breaker guards one dependency. Safe for concurrent use.
type Breaker struct {
	cb      *gobreaker.CircuitBreaker[struct{}]
	probe   func(context.Context) error
	observe func(took time.Duration, err error)
	last    atomic.Pointer[error] // what the last failing call said, for the log
	open    atomic.Bool           // not closed: every purchase asks, and a lock and the time are too much for it
}

// Options of a Breaker.
type Options struct {
	Name string
	// Failed reports whether an error of a call is the dependency's fault; nil
	// counts every error.
	Failed func(error) bool
	// Ignored reports whether an error says nothing of the dependency, neither
	// good nor bad, such as that no connection was free; may be nil. The caller's
	// own cancellation never does.
	Ignored func(error) bool
	// Probe tries the dependency; Run calls it through the breaker once a second.
	Probe func(context.Context) error
	// OnChange is told of each change of state; may be nil.
	OnChange func(name, state string)
	// Observe is told of each call that was made, probes included: how long it
	// took, and whether it failed. Of ignored ones it is not told; may be nil.
	Observe func(took time.Duration, failed bool)
	Log     *slog.Logger
}

// New returns a closed Breaker. Its probe runs only while Run does.
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
			o.Log.Warn("breaker changed", attrs...)
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

// Do calls fn through the breaker. Its error is fn's, or ErrOpen when fn was
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
		_ = b.Do(func() error { // counted, and logged when it changes the state
			ctx, cancel := context.WithTimeout(ctx, 2*probing)
			defer cancel()
			return b.probe(ctx)
		})
	}
}
