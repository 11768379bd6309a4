package admin

import (
	"encoding/json"

	"seckill/fleet"
	"seckill/order"
)

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
	for name, configured := range s.LimitRules.Configured {
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
