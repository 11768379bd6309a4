package config

import "fmt"

// connsBesides are the connections that a consumer keeps for its tasks beside
// settling: the tail, loads, the sweeper, the background auditor, expiry and events.
const connsBesides = 4

// MostWorkers is how many settling workers a consumer with these connections may
// have: each holds one while it settles.
func (m MySQL) MostWorkers() int { return max(1, m.MaxConns-connsBesides) }

// CheckConsumer returns an error when a consumer's connections are too few for
// its workers.
func (c Config) CheckConsumer() error {
	if c.Consumer.Workers+connsBesides <= c.MySQL.MaxConns {
		return nil
	}
	return fmt.Errorf("SECKILL_CONSUMER_WORKERS=%d requires SECKILL_MYSQL_MAX_CONNS=%d or more, not %d: each worker holds a connection, and %d are for its other tasks",
		c.Consumer.Workers, c.Consumer.Workers+connsBesides, c.MySQL.MaxConns, connsBesides)
}
