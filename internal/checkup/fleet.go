package checkup

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"seckill/fleet"
)

// Fleet is the processes that live, and what they ought to have heard.
type Fleet struct {
	Instances  []fleet.Instance
	Generation uint64 // of the limits, by MySQL
	HeldPolls  uint64 // limit of an API
	// Loaded and Digest are stock.Digest of the stores.
	Loaded      int
	Fingerprint string
	// What could not be read has an error, and nothing is judged by it.
	InstancesErr, LimitsErr, SalesErr error
	// Line is an instance in a line, for people.
	Line func(fleet.Instance) string
}

// Stale reports whether a process has not heard of a change: it may have been
// made a moment ago.
func (f Fleet) Stale() bool {
	return slices.ContainsFunc(f.Instances, func(i fleet.Instance) bool { return f.otherLimits(i) || f.otherSales(i) })
}

func (f Fleet) otherLimits(i fleet.Instance) bool {
	return f.LimitsErr == nil && !i.Under(f.Generation)
}

func (f Fleet) otherSales(i fleet.Instance) bool {
	return f.SalesErr == nil && i.Role == fleet.RoleAPI && i.SalesFingerprint != f.Fingerprint
}

// Check says what could not be read, and looks at each process.
func (f Fleet) Check() []Finding {
	var found []Finding
	for _, part := range []struct {
		name string
		err  error
	}{{"instances", f.InstancesErr}, {"limits in force", f.LimitsErr}, {"sales of the instances", f.SalesErr}} {
		if part.err != nil {
			found = append(found, Unread(part.name, part.err))
		}
	}
	if f.InstancesErr != nil {
		return found
	}
	if len(f.Instances) == 0 {
		return append(found, well("instances", "no process of a role runs"))
	}
	versions := map[string]bool{}
	for _, i := range f.Instances {
		versions[i.Version] = true
		found = append(found, f.instance(i))
	}
	if len(versions) > 1 {
		found = append(found, warning("versions", "end the rolling replacement before the sale", "the processes have %d versions", len(versions)))
	}
	return found
}

// Files that an API needs: for the polls that it holds, and beside them for
// purchases, other polls and its servers.
const (
	filesBeside = 10_000
	filesLeast  = 4096
)

func (f Fleet) instance(i fleet.Instance) Finding {
	var found []Finding
	say := func(bad bool, level Level, advice, format string, args ...any) {
		found = append(found, rule(bad, level, "", advice, format, args...))
	}
	api := i.Role == fleet.RoleAPI
	say(i.LimitsRefused != "", Fail, "it is of another version than the process that took them: replace it by the same, or `seckill limits set --unset` what it refuses; until then that is as the process is configured",
		"refuses of the limits: %s", i.LimitsRefused)
	say(f.otherLimits(i) && i.LimitsRefused == "", Fail, "can it reach MySQL, and does it have the schema? Its log says why it cannot read the limits; it goes on under those it has",
		"works under limits of generation %d, not %d", i.Generation, f.Generation)
	say(f.otherSales(i), Fail, "can it reach MySQL and Redis? Its log says why its copy of the sales grows old",
		"knows other sales than MySQL and Redis have: %d loaded, of %d", i.SalesLoaded, f.Loaded)
	say(len(i.BreakersOpen) > 0, Fail, "from its machine that server does not answer: its /readyz?verbose and its log say more",
		"does not ask %s at present", strings.Join(i.BreakersOpen, ", "))
	least, most := uint64(filesLeast), f.HeldPolls+filesBeside
	if !api {
		least, most = 256, 1024
	}
	say(i.MaxFiles > 0 && i.MaxFiles < most, level(i.MaxFiles < least), "raise its limit of open files (ulimit -n, LimitNOFILE): a connection is one; or lower SECKILL_HELD_POLLS",
		"may open %d files, and wants %d", i.MaxFiles, most)
	say(i.MaxMySQLConns > 0 && i.Load.MySQLConns == 0 || i.Load.RedisConns == 0, Warn, "it opens them with the first orders; when it stays so, it does not reach the server",
		"has no connection open to MySQL or to Redis")
	// It said when it spoke, and Redis when it heard that.
	if drift := clock("", "Redis'", i.SaidAt.Sub(i.SeenAt), messageTakes); drift.Level != OK {
		found = append(found, drift)
	}
	return several(i.ID, f.Line(i), found...)
}

// messageTakes is how long a heartbeat may be under way on a busy machine.
const messageTakes = 250 * time.Millisecond

func level(fails bool) Level {
	if fails {
		return Fail
	}
	return Warn
}

// Roles judges whether enough processes live to sell. Where nobody says who lives
// it says nothing: Check has.
func (f Fleet) Roles() []Finding {
	if f.InstancesErr != nil {
		return nil
	}
	var found []Finding
	for _, role := range []string{fleet.RoleAPI, fleet.RoleConsumer} {
		n := 0
		for _, i := range f.Instances {
			if i.Role == role {
				n++
			}
		}
		name, start := role+"s", fmt.Sprintf("start `seckill %s`", role)
		if n == 0 {
			found = append(found, failure(name, start, "none lives"))
			continue
		}
		found = append(found, rule(n < 2, Warn, name, start+" on a second machine: one that dies or is replaced stops the sale", "%d live", n))
	}
	return found
}

// Consumers counts those that live.
func (f Fleet) Consumers() (n int) {
	for _, i := range f.Instances {
		if i.Role == fleet.RoleConsumer {
			n++
		}
	}
	return n
}
