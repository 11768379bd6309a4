package fleet

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"seckill/order"
)

const (
	// lookEvery is how often a process looks for other limits when nobody tells it
	// of any, give or take a tenth: so that they are in force within a second while
	// Redis is away. A look is one read by primary key, one of some hundred
	// statements that a process at work sends in that time.
	lookEvery   = 800 * time.Millisecond
	lookTimeout = 2 * time.Second
)

// watch keeps the limits in force that MySQL has, until ctx is done: told by
// Redis at once, and by looking.
func (m *Member) watch(ctx context.Context) {
	sub := m.opts.Fleet.rdb.Subscribe(ctx, m.opts.Fleet.limits)
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
			m.opts.Log.WarnContext(ctx, "limits cannot be read, those in force stay", "err", err)
		case err == nil && failing:
			m.opts.Log.InfoContext(ctx, "limits are read again")
		}
		failing = err != nil
		wait(ctx, lookEvery, changed)
	}
}

// wakeOnMessage wakes who watches when a message comes, or may have been missed.
func wakeOnMessage(ctx context.Context, sub *redis.PubSub, changed chan<- struct{}) {
	messages := sub.ChannelWithSubscriptions()
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-messages:
			if !ok {
				return // the looking goes on
			}
			wake(changed)
		}
	}
}

// readLimits reads the limits and puts them in force, where they are others. It has
// them said at once, for whoever waits for that.
func (m *Member) readLimits(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	l, err := m.opts.Limits(ctx)
	if err != nil {
		return err
	}
	changed, refused := m.take(l)
	if !changed {
		return nil
	}
	if refused != nil {
		m.opts.Log.WarnContext(ctx, "limits in force in part, of the others those configured", "generation", l.Generation, "values", l.Values, "refused", refused)
	} else {
		m.opts.Log.InfoContext(ctx, "limits in force", "generation", l.Generation, "values", l.Values)
	}
	wake(m.soon)
	return nil
}

// take reports whether the limits are others than those in force, and which of
// them the process refuses. MySQL decides, also when it has an older generation:
// it may have come from a backup.
func (m *Member) take(l order.Limits) (changed bool, refused error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l.Equal(m.limits) {
		return false, nil
	}
	m.limits = l
	return true, m.apply()
}
