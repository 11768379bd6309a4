package breaker_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/internal/breaker"
)

var (
	errDown = errors.New("down")
	errBusy = errors.New("no connection is free")
)

func TestAnOutageOpensItAndTheProbeClosesIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		var calls int
		b := breaker.New(breaker.Options{Name: "x", Log: slog.New(slog.DiscardHandler), Probe: func(context.Context) error {
			if down.Load() {
				return errDown
			}
			return nil
		}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.Run(ctx) }()

		require.NoError(t, b.Ready())
		down.Store(true)
		time.Sleep(4 * time.Second) // an idle process notices by its probe
		require.ErrorIs(t, b.Ready(), breaker.ErrOpen)
		require.ErrorIs(t, b.Do(func() error { calls++; return nil }), breaker.ErrOpen)
		require.Zero(t, calls, "an open breaker calls nothing")

		time.Sleep(30 * time.Second)
		require.ErrorIs(t, b.Ready(), breaker.ErrOpen, "a failing probe keeps it open")
		down.Store(false)
		time.Sleep(7 * time.Second)
		require.NoError(t, b.Ready())
		cancel()
		require.NoError(t, <-done)
	})
}

func TestTheCallersOwnCancellationAndOutcomesDoNotCount(t *testing.T) {
	t.Parallel()
	soldOut := errors.New("sold out")
	b := breaker.New(breaker.Options{
		Name: "x", Log: slog.New(slog.DiscardHandler),
		Failed:  func(err error) bool { return !errors.Is(err, soldOut) },
		Ignored: func(err error) bool { return errors.Is(err, errBusy) },
	})
	for range 20 {
		require.ErrorIs(t, b.Do(func() error { return errBusy }), errBusy)
		require.ErrorIs(t, b.Do(func() error { return soldOut }), soldOut)
		require.ErrorIs(t, b.Do(func() error { return context.Canceled }), context.Canceled)
	}
	require.NoError(t, b.Ready())
	for range 3 {
		require.ErrorIs(t, b.Do(func() error { return context.Canceled }), context.Canceled, "nor does it count as a success")
		require.ErrorIs(t, b.Do(func() error { return errBusy }), errBusy)
		require.ErrorIs(t, b.Do(func() error { return errDown }), errDown)
	}
	require.ErrorIs(t, b.Ready(), breaker.ErrOpen)
}

func TestWhatCallsTakeIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var took []time.Duration
		var failures int
		b := breaker.New(breaker.Options{
			Name: "x", Log: slog.New(slog.DiscardHandler),
			Failed:  func(err error) bool { return errors.Is(err, errDown) },
			Ignored: func(err error) bool { return errors.Is(err, errBusy) },
			Observe: func(d time.Duration, failed bool) {
				took = append(took, d)
				if failed {
					failures++
				}
			},
		})
		for _, answer := range []error{nil, errors.New("sold out"), errBusy, context.Canceled, errDown, errDown, errDown} {
			_ = b.Do(func() error { time.Sleep(time.Second); return answer })
		}
		require.ErrorIs(t, b.Do(func() error { return nil }), breaker.ErrOpen)
		require.Equal(t, []time.Duration{time.Second, time.Second, time.Second, time.Second, time.Second}, took,
			"calls that were not made, or say nothing of it, are not told")
		require.Equal(t, 3, failures)
	})
}
