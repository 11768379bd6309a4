package fleet

import (
	"cmp"
	"strings"
	"time"
)

// The roles.
const (
	RoleAPI      = "api"
	RoleConsumer = "consumer"
)

// Instance is a process that lives, as it said itself a moment ago.
type Instance struct {
	ID          string `json:"id"` // role, a dash, what no other process has
	Role        string `json:"role"`
	Version     string `json:"version"`
	Host        string `json:"host"`
	PID         int    `json:"pid"`
	Listen      string `json:"listen,omitempty"` // where shoppers reach an API
	AdminListen string `json:"admin_listen"`
	Worker      int64  `json:"worker,omitempty"` // the number in an API's order IDs; 0 before it has one
	// Generation is of the limits that it took over last as a whole. LimitsRefused
	// says which of newer ones it does not take, being another version, in
	// printable ASCII: those are as it is configured, the others in force.
	Generation    uint64 `json:"limits_generation"`
	LimitsRefused string `json:"limits_refused,omitempty"`

	StartedAt time.Time `json:"started_at"`
	SaidAt    time.Time `json:"said_at"` // by its own clock: SeenAt, give or take a message, or the clocks differ
	SeenAt    time.Time `json:"seen_at"` // by the clock of Redis
	// What it may open: files, and connections to MySQL and to Redis; 0 where it
	// has none of these servers or does not know.
	MaxFiles      uint64 `json:"max_files"`
	MaxMySQLConns int    `json:"max_mysql_conns"`
	MaxRedisConns int    `json:"max_redis_conns"`
	// SalesLoaded is how many sales an API knows as loaded, and SalesFingerprint is
	// stock.Digest of them: that of the stores, or it has not heard of a change.
	SalesLoaded      int    `json:"sales_loaded,omitempty"`
	SalesFingerprint string `json:"sales_digest,omitempty"`
	// BreakersOpen are the servers that it does not ask at present.
	BreakersOpen []string `json:"breakers_open,omitempty"`
	Load         Load     `json:"load"`
}

// Under reports whether it works under the limits of that generation as a whole.
func (i Instance) Under(generation uint64) bool {
	return i.Generation == generation && i.LimitsRefused == ""
}

// maxRefused bounds what an instance says in every heartbeat, in bytes.
const maxRefused = 300

// refusal is what an instance says of limits that it refuses; empty for none.
func refusal(err error) string {
	if err == nil {
		return ""
	}
	said := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, strings.ReplaceAll(err.Error(), "\n", "; "))
	if len(said) > maxRefused {
		said = said[:maxRefused-3] + "..."
	}
	return cmp.Or(said, "refused")
}

// Load is how much an instance has to do. Rates and times are over the last 5 s.
// What is not its role's is 0.
type Load struct {
	Inflight  int64   `json:"inflight"` // requests under way, held polls included
	HeldPolls int64   `json:"held_polls"`
	Accepted  float64 `json:"accepted_per_second"` // purchases answered with 202
	Refused   float64 `json:"refused_per_second"`  // purchases
	Backlog   int64   `json:"backlog"`             // orders waiting in the queue, of all APIs
	Settled   float64 `json:"settled_per_second"`
	Workers   int     `json:"workers"`
	// Connections that it has open.
	MySQLConns int `json:"mysql_conns"`
	RedisConns int `json:"redis_conns"`
	// The time from an order's ID to its result, of what this instance settled; 0
	// when that was nothing. Estimated within the buckets of the metric
	// seckill_time_to_result_seconds.
	ToResultP50 float64 `json:"time_to_result_p50_seconds"`
	ToResultP99 float64 `json:"time_to_result_p99_seconds"`
}

// Totals are what a process counts, of which Load is made.
type Totals struct {
	Inflight, HeldPolls, Backlog int64
	Workers                      int
	MySQLConns, RedisConns       int
	Accepted, Refused, Settled   float64 // since its start
	// ToResult are the results since its start, by the most seconds that each
	// took; a bound counts those of the lower ones too.
	ToResult map[float64]uint64
}
