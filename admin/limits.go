package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"seckill/fleet"
	"seckill/internal/suggest"
	"seckill/order"
)

// limitStore keeps the limits that operators have set.
type limitStore interface {
	Limits(ctx context.Context) (order.Limits, error)
	ChangeLimits(ctx context.Context, c order.LimitsChange) (order.Limits, error)
}

// instances are the processes of the shop.
type instances interface {
	Instances(ctx context.Context) ([]fleet.Instance, error)
	AnnounceLimits(ctx context.Context, generation uint64) error
}

// LimitRules describes the limits.
type LimitRules struct {
	// Configured has the values of this process for limits that no operator has set.
	Configured map[string]json.Number
	// Parse checks a value and returns its canonical form.
	Parse func(name, value string) (json.Number, error)
}

// LimitRules returns the rules of the limits.
func (s *Service) LimitRules() LimitRules { return s.limitRules }

// LimitsStatus is the limits, and the generation that each instance applies.
type LimitsStatus struct {
	Limits    order.Limits
	Instances []fleet.Instance
	// Away is set if Redis is unavailable: the instances are unknown.
	Away error
}

const fleetTimeout = time.Second

// Instances returns the live processes.
func (s *Service) Instances(ctx context.Context) ([]fleet.Instance, error) {
	ctx, cancel := context.WithTimeout(ctx, fleetTimeout)
	defer cancel()
	is, err := s.fleet.Instances(ctx)
	if err != nil {
		return nil, &UnavailableError{"redis", err}
	}
	return is, nil
}

// LimitsInForce returns the limits. If Redis is unavailable, Away is set.
func (s *Service) LimitsInForce(ctx context.Context) (LimitsStatus, error) {
	l, err := ask(ctx, s.limits.Limits)
	if err != nil {
		return LimitsStatus{}, err
	}
	is, err := s.Instances(ctx)
	return LimitsStatus{Limits: l, Instances: is, Away: err}, nil
}

// SetLimits changes limits; nil resets a limit to the configuration of each
// process. Every process applies the new values within a second, with or without
// Redis. All invalid values are reported together as *order.FieldError; the other
// errors are those of order.Store.ChangeLimits, and *UnavailableError.
// Call.IfVersion is the generation.
func (s *Service) SetLimits(ctx context.Context, c Call, values map[string]*string) (order.Limits, error) {
	change := order.LimitsChange{Command: c.Command, By: c.By, IfGeneration: c.IfVersion, Values: map[string]*json.Number{}}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(values)) {
		var parsed *json.Number
		_, known := s.limitRules.Configured[name]
		if v := values[name]; v != nil && known {
			n, err := s.limitRules.Parse(name, *v)
			if err != nil {
				errs = append(errs, &order.FieldError{Field: name, Detail: err.Error()})
			}
			parsed = &n
		} else if !known {
			errs = append(errs, &order.FieldError{Field: name, Detail: "there is no such limit" + suggest.Remark(name, slices.Sorted(maps.Keys(s.limitRules.Configured)))})
		}
		change.Values[name] = parsed
	}
	if err := errors.Join(errs...); err != nil {
		return order.Limits{}, err
	}
	l, err := ask(ctx, func(ctx context.Context) (order.Limits, error) { return s.limits.ChangeLimits(ctx, change) })
	if err != nil {
		return l, err
	}
	announcing, cancel := context.WithTimeout(context.WithoutCancel(ctx), fleetTimeout)
	defer cancel()
	announced := s.fleet.AnnounceLimits(announcing, l.Generation) // a process that misses it reads the limits within a second
	s.log.InfoContext(ctx, "operator", "actor", c.By.Name, "action", "limits", "generation", l.Generation, "values", fmt.Sprint(l.Values), "command", c.Command, "announced", announced == nil)
	return l, nil
}

// The source of a limit's value.
const (
	FromOperator      = "operator"
	FromConfiguration = "configuration" // that of the process which is asked: others may have another
)

// LimitView is the JSON of a limit.
type LimitView struct {
	Value      json.Number `json:"value"`
	From       string      `json:"from"`
	Configured json.Number `json:"configured"`
}

// LimitsView is the JSON of all limits. Without Redis it has no instances.
type LimitsView struct {
	Generation uint64               `json:"generation"`
	Limits     map[string]LimitView `json:"limits"`
	Instances  []GenerationView     `json:"instances,omitempty"`
	Error      string               `json:"error,omitempty"`
}

// GenerationView is the JSON of the generation that an instance applies.
type GenerationView struct {
	ID         string `json:"id"`
	Role       string `json:"role"`
	Generation uint64 `json:"limits_generation"`
	Lags       bool   `json:"lags"`
	Refused    string `json:"limits_refused,omitempty"` // which of the newest limits it does not take, and why
}

// ViewLimits returns the JSON of l.
func (s *Service) ViewLimits(l order.Limits) LimitsView {
	v := LimitsView{Generation: l.Generation, Limits: map[string]LimitView{}}
	for name, configured := range s.limitRules.Configured {
		v.Limits[name] = LimitView{configured, FromConfiguration, configured}
		if set, ok := l.Values[name]; ok {
			v.Limits[name] = LimitView{set, FromOperator, configured}
		}
	}
	return v
}

// ViewLimitsStatus is ViewLimits with the instances.
func (s *Service) ViewLimitsStatus(l LimitsStatus) LimitsView {
	v := s.ViewLimits(l.Limits)
	for _, i := range l.Instances {
		v.Instances = append(v.Instances, GenerationView{i.ID, i.Role, i.Generation, !i.Under(l.Limits.Generation), i.LimitsRefused})
	}
	if l.Away != nil {
		v.Error = "redis cannot be asked who lags"
	}
	return v
}

// InstanceView is the JSON of an instance.
type InstanceView struct {
	fleet.Instance

	StartedAt string `json:"started_at"`
	SaidAt    string `json:"said_at"`
	SeenAt    string `json:"seen_at"`
}

// ViewInstance returns the JSON of i.
func ViewInstance(i fleet.Instance) InstanceView {
	return InstanceView{i, timestamp(i.StartedAt), timestamp(i.SaidAt), timestamp(i.SeenAt)}
}
