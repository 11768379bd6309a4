package main

import (
	"context"
	"fmt"
	"time"

	"seckill/internal/loop"
)

const (
	// foreignCores is how much of a core others may use: 5 % of two cores.
	foreignCores = 0.10
	quietWithin  = 10 * time.Minute
)

// quiet waits until nobody else uses the machine for two seconds.
func (b *bench) quiet(ctx context.Context) error {
	if b.noWait {
		return nil
	}
	deadline := time.Now().Add(quietWithin)
	for said := false; ; {
		m := b.meter()
		if err := loop.Pause(ctx, 2*time.Second); err != nil {
			return err
		}
		_, foreign := m.read()
		if foreign <= foreignCores {
			return nil
		}
		if !said {
			b.sayf("others use %.1f cores: waiting for an idle machine (--no-idle-wait does not)", foreign)
			said = true
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the machine was not idle for %s: others use %.1f cores", quietWithin, foreign)
		}
	}
}

// disturbed tells whether one of the measurements is worth nothing because
// others used the machine.
func (b *bench) disturbed(ss ...sample) bool {
	bad := false
	for _, s := range ss {
		if s.pong != nil {
			bad = b.disturbed(*s.pong) || bad
		}
		b.foreign = append(b.foreign, s.foreign)
		bad = bad || s.foreign > foreignCores
	}
	return bad && !b.noWait
}
