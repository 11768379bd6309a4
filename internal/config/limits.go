package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Limits returns the settings that operators change while the processes run, by
// key. What is none of the API's is the consumers'; the others have no use for
// it.
func (c Config) Limits() map[string]json.Number {
	values := map[string]json.Number{}
	for name, v := range map[string]any{
		"shopper_rps": c.API.ShopperRPS, "shopper_burst": c.API.ShopperBurst, "address_rps": c.API.AddressRPS,
		"buy_inflight": c.API.BuyInflight, "poll_inflight": c.API.PollInflight, "held_polls": c.API.HeldPolls,
		"backlog_limit": c.API.BacklogLimit, "consumer_workers": c.Consumer.Workers, "drain_rate": c.Consumer.DrainRate,
	} {
		text, _ := json.Marshal(v) //nolint:errchkjson // numbers: it cannot fail
		values[name] = json.Number(text)
	}
	return values
}

// ErrNoLimit is the error of a name that is no limit.
var ErrNoLimit = errors.New("there is no such limit")

// ParseLimit reads the value of a limit under the rules of its setting, and
// returns it in its one spelling.
func ParseLimit(name, value string) (json.Number, error) {
	var c Config
	err := c.setLimit(name, value)
	return c.Limits()[name], err
}

// With returns c with limits that operators have set. One that is bad, or that
// this version does not know, stays as c has it, and is part of the error.
func (c Config) With(limits map[string]json.Number) (Config, error) {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		if err := c.setLimit(name, limits[name].String()); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return c, errors.Join(errs...)
}

func (c *Config) setLimit(name, value string) error {
	if _, ok := c.Limits()[name]; !ok {
		return ErrNoLimit
	}
	i := slices.IndexFunc(Settings(), func(s Setting) bool { return s.Key == name })
	return Settings()[i].set(c, value)
}
