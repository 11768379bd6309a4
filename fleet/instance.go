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

// Instance is a live process, as it described itself in its last heartbeat.
type Instance struct {
	ID          string `json:"id"` // role, a dash, and a random part
	Role        string `json:"role"`
	Version     string `json:"version"`
	Host        string `json:"host"`
	PID         int    `json:"pid"`
	Listen      string `json:"listen,omitempty"` // where shoppers reach an API
	AdminListen string `json:"admin_listen"`
	Worker      int64  `json:"worker,omitempty"` // the node ID in an API's order IDs; 0 before it has one
	// Generation is the last generation of the limits that is fully in force.
	// LimitsRefused says, in printable ASCII, which newer limits this version does
	// not accept: those stay as configured, the others are in force.
	Generation    uint64 `json:"limits_generation"`
	LimitsRefused string `json:"limits_refused,omitempty"`

	StartedAt time.Time `json:"started_at"`
	SaidAt    time.Time `json:"said_at"` // by its own clock; far from SeenAt when the clocks differ
	SeenAt    time.Time `json:"seen_at"` // by the clock of Redis
	// Its limits of open files and of connections to MySQL and Redis; 0 when it
	// does not use the server or does not know.
	MaxFiles      uint64 `json:"max_files"`
	MaxMySQLConns int    `json:"max_mysql_conns"`
	MaxRedisConns int    `json:"max_redis_conns"`
	// SalesLoaded and SalesFingerprint are the catalog.Fingerprint of an API. They
	// differ from those of the stores while it has missed a change.
	SalesLoaded      int    `json:"sales_loaded,omitempty"`
	SalesFingerprint string `json:"sales_digest,omitempty"`
	// BreakersOpen are the servers that it does not call at present.
	BreakersOpen []string `json:"breakers_open,omitempty"`
	// Fault is what it cannot do of an order's way at present, with the server's
	// reason, as by Brief; empty for none.
	Fault string `json:"fault,omitempty"`
	// QueueClient is the name of a consumer among the members of its group; empty
	// while it has none, or of an earlier version.
	QueueClient string `json:"queue_client,omitempty"`
	Load        Load   `json:"load"`
}

// Under reports whether all limits of that generation are in force in it.
func (i Instance) Under(generation uint64) bool {
	return i.Generation == generation && i.LimitsRefused == ""
}

// maxBrief bounds the text of an error in a heartbeat, in bytes.
const maxBrief = 300

// Brief formats an error for a heartbeat, in printable ASCII; empty for none.
func Brief(err error) string {
	if err == nil {
		return ""
	}
	said := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, strings.ReplaceAll(err.Error(), "\n", "; "))
	if len(said) > maxBrief {
		said = said[:maxBrief-3] + "..."
	}
	return cmp.Or(said, "no reason given")
}

// Load is the load of an instance. Rates and times are over the last 5 s. Fields of
// another role are 0.
type Load struct {
	Inflight  int64   `json:"inflight"` // requests in progress, held polls included
	HeldPolls int64   `json:"held_polls"`
	Accepted  float64 `json:"accepted_per_second"` // purchases answered with 202
	Refused   float64 `json:"refused_per_second"`  // purchases
	Backlog   int64   `json:"backlog"`             // orders waiting in the queue, from all APIs
	Settled   float64 `json:"settled_per_second"`
	Workers   int     `json:"workers"`
	// Open connections.
	MySQLConns int `json:"mysql_conns"`
	RedisConns int `json:"redis_conns"`
	// The time from an order's ID to its result, for orders that this instance
	// settled; 0 when there were none. Estimated from the buckets of the metric
	// seckill_time_to_result_seconds.
	ToResultP50 float64 `json:"time_to_result_p50_seconds"`
	ToResultP99 float64 `json:"time_to_result_p99_seconds"`
}

// Totals are the counters of a process that a Load is computed from.
type Totals struct {
	Inflight, HeldPolls, Backlog int64
	Workers                      int
	MySQLConns, RedisConns       int
	Accepted, Refused, Settled   float64 // since its start
	// ToResult are the results since its start in cumulative buckets, by the upper
	// bound in seconds.
	ToResult map[float64]uint64
}
