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
	"seckill/order"
)

// limitStore keeps what operators have set of the limits.
type limitStore interface {
	Limits(ctx context.Context) (order.Limits, error)
	ChangeLimits(ctx context.Context, c order.LimitsChange) (order.Limits, error)
}

// instances are the processes of the shop.
type instances interface {
	Instances(ctx context.Context) ([]fleet.Instance, error)
	AnnounceLimits(ctx context.Context, generation uint64) error
}

// LimitRules are the limits that there are.
type LimitRules struct {
	// Configured are their values in this process where no operator has set them.
	Configured map[string]json.Number
	// Parse reads a value and returns it in its one spelling.
	Parse func(name, value string) (json.Number, error)
}

// LimitRules returns the limits that there are.
func (s *Service) LimitRules() LimitRules { return s.limitRules }

// LimitsStatus is the limits, and who works under them.
type LimitsStatus struct {
	Limits    order.Limits
	Instances []fleet.Instance
	// Away is set when Redis cannot say who lives.
	Away error
}

const fleetTimeout = time.Second

// Instances returns the processes that live.
func (s *Service) Instances(ctx context.Context) ([]fleet.Instance, error) {
	ctx, cancel := context.WithTimeout(ctx, fleetTimeout)
	defer cancel()
	is, err := s.fleet.Instances(ctx)
	if err != nil {
		return nil, &UnavailableError{"redis", err}
	}
	return is, nil
}

// LimitsInForce returns the limits. Redis being away is no error: see Away.
func (s *Service) LimitsInForce(ctx context.Context) (LimitsStatus, error) {
	l, err := ask(ctx, s.limits.Limits)
	if err != nil {
		return LimitsStatus{}, err
	}
	is, err := s.Instances(ctx)
	return LimitsStatus{Limits: l, Instances: is, Away: err}, nil
}

// SetLimits changes limits; nil takes a limit back to what each process is
// configured with. Every process works under the new ones within a second, with
// Redis or without. Bad values are *order.FieldError, all at once; the other
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
			errs = append(errs, &order.FieldError{Field: name, Detail: "there is no such limit"})
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
	telling, cancel := context.WithTimeout(context.WithoutCancel(ctx), fleetTimeout)
	defer cancel()
	told := s.fleet.AnnounceLimits(telling, l.Generation) // who does not hear of it looks by itself
	s.log.InfoContext(ctx, "operator", "actor", c.By.Name, "action", "limits", "generation", l.Generation, "values", fmt.Sprint(l.Values), "command", c.Command, "told", told == nil)
	return l, nil
}

// Where the value of a limit comes from.
const (
	FromOperator      = "operator"
	FromConfiguration = "configuration" // that of the process which is asked: others may have another
)

// LimitView is a limit as a program reads it.
type LimitView struct {
	Value      json.Number `json:"value"`
	From       string      `json:"from"`
	Configured json.Number `json:"configured"`
}

// LimitsView is all of them. Without Redis it does not say who lags.
type LimitsView struct {
	Generation uint64               `json:"generation"`
	Limits     map[string]LimitView `json:"limits"`
	Instances  []GenerationView     `json:"instances,omitempty"`
	Error      string               `json:"error,omitempty"`
}

// GenerationView is the limits that an instance works under.
type GenerationView struct {
	ID         string `json:"id"`
	Role       string `json:"role"`
	Generation uint64 `json:"limits_generation"`
	Lags       bool   `json:"lags"`
	Refused    string `json:"limits_refused,omitempty"` // which of the newest limits it does not take, and why
}

// ViewLimits is l as a program reads it.
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

// InstanceView is an instance as a program reads it.
type InstanceView struct {
	fleet.Instance

	StartedAt string `json:"started_at"`
	SaidAt    string `json:"said_at"`
	SeenAt    string `json:"seen_at"`
}

// ViewInstance is i as a program reads it.
func ViewInstance(i fleet.Instance) InstanceView {
	return InstanceView{i, timestamp(i.StartedAt), timestamp(i.SaidAt), timestamp(i.SeenAt)}
}
