// Package loop repeats a step at a pace, and waits: the two ways in which a
// background goroutine of this program spends its time.
package loop

import (
	"context"
	"log/slog"
	"time"
)

// StepTimeout bounds one step. What a step does not get done, the next one does.
const StepTimeout = 20 * time.Second

// EverySecond calls step once a second until ctx is done.
func EverySecond(ctx context.Context, log *slog.Logger, name string, step func(context.Context) error) error {
	return Every(ctx, time.Second, log, name, step)
}

// Every calls step at the given pace until ctx is done. A failing step is
// logged when it starts to fail and when it works again, not each time.
func Every(ctx context.Context, pace time.Duration, log *slog.Logger, name string, step func(context.Context) error) error {
	t := time.NewTicker(pace)
	defer t.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		stepCtx, cancel := context.WithTimeout(ctx, StepTimeout)
		err := step(stepCtx)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !failing:
			log.WarnContext(ctx, "step fails, will be tried again", "step", name, "err", err)
		case err == nil && failing:
			log.InfoContext(ctx, "step works again", "step", name)
		}
		failing = err != nil
	}
}

// Pause waits for d. The error is the cause of ctx's end, if that came first.
func Pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	return context.Cause(ctx)
}
