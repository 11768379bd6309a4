package main

import (
	"context"
	"fmt"
	"time"

	"seckill/admin"
	"seckill/fleet"
)

// checkFleet lists the processes that live. Of one that lags behind the limits it
// wants to know again after a second: they may have changed just now. What keeps
// the servers from being asked is said by their own checks.
func (p *process) checkFleet(ctx context.Context) (found []finding) {
	_ = p.withFleet(func(s *admin.Service) error {
		l, err := s.LimitsInForce(ctx)
		if err == nil && len(l.Lagging()) > 0 {
			select {
			case <-time.After(time.Second):
				l, err = s.LimitsInForce(ctx)
			case <-ctx.Done():
			}
		}
		if err != nil || l.Away != nil {
			return err
		}
		found = instanceFindings(l)
		return nil
	})
	return found
}

func instanceFindings(l admin.LimitsStatus) []finding {
	if len(l.Instances) == 0 {
		return []finding{{Name: "instances", OK: true, Detail: "no process of a role runs"}}
	}
	found := make([]finding, len(l.Instances))
	for n, i := range l.Instances {
		found[n] = finding{Name: admin.Printable(i.ID), OK: i.Generation == l.Limits.Generation, Detail: instanceLine(i)}
		if !found[n].OK {
			found[n].Detail = fmt.Sprintf("works under limits of generation %d, not %d: %s", i.Generation, l.Limits.Generation, found[n].Detail)
			found[n].Advice = "can it reach MySQL, and does it have the schema? Its log says why it cannot read the limits; it goes on under those it has"
		}
	}
	return found
}

// instanceLine is an instance in a line, for people.
func instanceLine(i fleet.Instance) string {
	at := i.AdminListen
	if i.Listen != "" {
		at = i.Listen + ", " + at
	}
	return fmt.Sprintf("%s on %s (PID %d), %s: %s", admin.Printable(i.Version), admin.Printable(i.Host), i.PID, admin.Printable(at), loadLine(i))
}
