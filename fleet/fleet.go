// Package fleet lets the processes of one shop know each other: which of them are
// alive, how loaded each is, and that the limits have changed.
//
// A process is alive as long as its heartbeat in Redis is: a killed one is gone
// within 10 s, one that stops properly at once. The limits are in MySQL. Redis
// only announces changes, and each process also reads MySQL every second: limits
// work while Redis is down or was wiped, and no process waits for either server.
package fleet

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed beat.lua
var beatSource string

//go:embed live.lua
var liveSource string

var (
	beatScript = redis.NewScript(beatSource)
	liveScript = redis.NewScript(liveSource)
)

const (
	// beatEvery is the time between heartbeats, plus or minus a tenth.
	beatEvery = time.Second
	// beatHolds is how long a process counts as alive without a heartbeat: six may
	// be late or lost.
	beatHolds = 7 * time.Second
)

// Fleet is the list of the processes of one shop in Redis. It is safe for
// concurrent use and keeps no state of its own.
type Fleet struct {
	rdb        redis.UniversalClient
	seen, said string // see beat.lua
	limits     string // channel: the limits have changed
}

// New returns the fleet of a shop; the name separates it from others on the same
// Redis.
func New(rdb redis.UniversalClient, shop string) *Fleet {
	prefix := "seckill:{fleet:" + shop + "}:"
	return &Fleet{rdb: rdb, seen: prefix + "seen", said: prefix + "said", limits: prefix + "limits"}
}

// Instances returns the live processes, by role, then by age.
func (f *Fleet) Instances(ctx context.Context) ([]Instance, error) {
	found, err := liveScript.Run(ctx, f.rdb, []string{f.seen, f.said}, beatHolds.Milliseconds()).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("fleet: instances: %w", err)
	}
	is := make([]Instance, 0, len(found)/3)
	for triple := range slices.Chunk(found, 3) {
		var i Instance
		ms, err := strconv.ParseFloat(triple[1], 64)
		if err != nil || json.Unmarshal([]byte(triple[2]), &i) != nil {
			continue // not written by this program
		}
		i.ID, i.SeenAt = triple[0], time.UnixMilli(int64(ms)).UTC()
		is = append(is, i)
	}
	slices.SortFunc(is, func(a, b Instance) int {
		return cmp.Or(strings.Compare(a.Role, b.Role), a.StartedAt.Compare(b.StartedAt), strings.Compare(a.ID, b.ID))
	})
	return is, nil
}

// beat writes the heartbeat of an instance, and returns how many are alive by role.
func (f *Fleet) beat(ctx context.Context, i Instance) (map[string]int, error) {
	said, err := json.Marshal(i)
	if err != nil {
		return nil, fmt.Errorf("fleet: instance: %w", err)
	}
	live, err := beatScript.Run(ctx, f.rdb, []string{f.seen, f.said}, i.ID, said, beatHolds.Milliseconds()).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("fleet: heartbeat: %w", err)
	}
	roles := map[string]int{}
	for _, id := range live {
		role, _, _ := strings.Cut(id, "-")
		roles[role]++
	}
	return roles, nil
}

// leave removes an instance from the list.
func (f *Fleet) leave(ctx context.Context, id string) error {
	p := f.rdb.Pipeline()
	p.ZRem(ctx, f.seen, id)
	p.HDel(ctx, f.said, id)
	if _, err := p.Exec(ctx); err != nil {
		return fmt.Errorf("fleet: leave: %w", err)
	}
	return nil
}

// AnnounceLimits tells every process that the limits have a new generation.
func (f *Fleet) AnnounceLimits(ctx context.Context, generation uint64) error {
	if err := f.rdb.Publish(ctx, f.limits, strconv.FormatUint(generation, 10)).Err(); err != nil {
		return fmt.Errorf("fleet: announce limits: %w", err)
	}
	return nil
}
