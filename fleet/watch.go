package fleet

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"seckill/order"
)

const (
	// lookEvery is the time between reads of the limits without a message, plus or
	// minus a tenth: so new limits are in force within a second while Redis is down.
	// It is one read by primary key (0.1 ms of MySQL per second and process), among
	// some hundred statements of a busy process in that time.
	lookEvery   = 800 * time.Millisecond
	lookTimeout = 2 * time.Second
)

// watch keeps the limits of MySQL in force until ctx is done: by messages of
// Redis, which come at once, and by polling.
func (m *Member) watch(ctx context.Context) {
	sub := m.fleet.rdb.Subscribe(ctx, m.fleet.limits)
	defer sub.Close()
	changed := make(chan struct{}, 1)
	done := make(chan struct{})
	defer func() { <-done }()
	go func() {
		defer close(done)
		wakeOnMessage(ctx, sub, changed)
	}()
	failing := false
	for ctx.Err() == nil {
		err := m.readLimits(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil && !failing:
			m.log.WarnContext(ctx, "cannot read the limits, those in force stay", "err", err)
		case err == nil && failing:
			m.log.InfoContext(ctx, "limits can be read again")
		}
		failing = err != nil
		wait(ctx, lookEvery, changed)
	}
}

// wakeOnMessage wakes the watcher when a message comes, or may have been missed.
func wakeOnMessage(ctx context.Context, sub *redis.PubSub, changed chan<- struct{}) {
	messages := sub.ChannelWithSubscriptions()
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-messages:
			if !ok {
				return // polling continues
			}
			wake(changed)
		}
	}
}

// readLimits reads the limits and, if they changed, puts them in force. It then
// sends a heartbeat at once, for operators that wait for it.
func (m *Member) readLimits(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	l, err := m.readStored(ctx)
	if err != nil {
		return err
	}
	changed, refused := m.take(l)
	if !changed {
		return nil
	}
	if refused != nil {
		m.log.WarnContext(ctx, "some limits are refused and stay as configured", "generation", l.Generation, "values", l.Values, "refused", refused)
	} else {
		m.log.InfoContext(ctx, "limits in force", "generation", l.Generation, "values", l.Values)
	}
	wake(m.soon)
	return nil
}

// take puts limits in force if they differ, and reports whether they did and which
// of them the process refuses. MySQL decides, even if its generation is older: it
// may have been restored from a backup.
func (m *Member) take(l order.Limits) (changed bool, refused error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l.Equal(m.limits) {
		return false, nil
	}
	m.limits = l
	return true, m.apply()
}
