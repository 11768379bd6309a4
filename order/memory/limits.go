package memory

import (
	"context"
	"encoding/json"
	"maps"

	"seckill/order"
)

// Limits is as in order/mysql.
func (s *Store) Limits(context.Context) (order.Limits, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.currentLimits(), nil
}

func (s *Store) currentLimits() order.Limits {
	l := order.Limits{Generation: s.limits.Generation, Values: map[string]json.Number{}}
	maps.Copy(l.Values, s.limits.Values)
	return l
}

// ChangeLimits is as in order/mysql.
func (s *Store) ChangeLimits(_ context.Context, c order.LimitsChange) (order.Limits, error) {
	if err := order.ValidateCommand(c.Command); err != nil {
		return order.Limits{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before, this := s.currentLimits(), order.Command{What: c.What()}
	if old, ok := s.commands[c.Command]; ok {
		return before, this.Repeats(c.Command, old)
	}
	after, err := c.Over(before)
	if err != nil {
		return before, err
	}
	s.commands[c.Command] = this
	if after.Generation != before.Generation {
		s.limits = after
		s.note(c.Entry(before, after))
	}
	return s.currentLimits(), nil
}
