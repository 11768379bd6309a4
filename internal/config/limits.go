package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Limits returns the settings that operators can change while the processes run,
// by key.
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

// ErrNoLimit is returned for the name of no limit.
var ErrNoLimit = errors.New("there is no such limit")

// ParseLimit parses the value of a limit by the rules of its setting, and returns
// it in canonical form.
func ParseLimit(name, value string) (json.Number, error) {
	var c Config
	err := c.setLimit(name, value)
	return c.Limits()[name], err
}

// With returns c with limits that operators have set. A limit that is invalid or
// unknown to this version keeps its value in c and is part of the error.
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

// connsBesides are the connections that a consumer needs for everything but
// settling: tail, loader, sweeper, background auditor, expirer and events.
const connsBesides = 4

// MostWorkers is the highest number of settling workers for these connections:
// each worker holds one while it settles.
func (m MySQL) MostWorkers() int { return max(1, m.MaxConns-connsBesides) }

// CheckConsumer returns an error when a consumer's connections are too few for
// its workers.
func (c Config) CheckConsumer() error {
	if c.Consumer.Workers+connsBesides <= c.MySQL.MaxConns {
		return nil
	}
	return fmt.Errorf("SECKILL_CONSUMER_WORKERS=%d needs SECKILL_MYSQL_MAX_CONNS=%d or more, not %d: each worker holds a connection, and the consumer's other work needs %d",
		c.Consumer.Workers, c.Consumer.Workers+connsBesides, c.MySQL.MaxConns, connsBesides)
}
