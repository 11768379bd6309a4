package checkup

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"seckill/fleet"
)

// Fleet holds the live processes, and what they should know.
type Fleet struct {
	Instances  []fleet.Instance
	Generation uint64 // of the limits, in MySQL
	HeldPolls  uint64 // limit of one API process
	// Loaded and Fingerprint are the catalog.Fingerprint of the stores.
	Loaded      int
	Fingerprint string
	// What could not be read has an error and is not checked.
	InstancesErr, LimitsErr, SalesErr error
	// Line describes an instance in one line.
	Line func(fleet.Instance) string
}

// Stale reports whether a process does not know a change; the change may be a
// moment old.
func (f Fleet) Stale() bool {
	return slices.ContainsFunc(f.Instances, func(i fleet.Instance) bool { return f.otherLimits(i) || f.otherSales(i) })
}

func (f Fleet) otherLimits(i fleet.Instance) bool {
	return f.LimitsErr == nil && !i.Under(f.Generation)
}

func (f Fleet) otherSales(i fleet.Instance) bool {
	return f.SalesErr == nil && i.Role == fleet.RoleAPI && i.SalesFingerprint != f.Fingerprint
}

// Check reports what could not be read, and checks each process.
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
		return append(found, well("instances", "no process is running"))
	}
	versions := map[string]bool{}
	for _, i := range f.Instances {
		versions[i.Version] = true
		found = append(found, f.instance(i))
	}
	if len(versions) > 1 {
		found = append(found, warning("versions", "finish the rolling update before the sale", "the processes run %d versions", len(versions)))
	}
	return found
}

// Open files that an API process needs in addition to one per held poll: for
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
	say(i.LimitsRefused != "", Fail, "its version differs from that of the process that accepted the limits: update it, or `seckill limits set --unset` what it refuses; until then these limits stay as configured",
		"refuses limits: %s", i.LimitsRefused)
	say(f.otherLimits(i) && i.LimitsRefused == "", Fail, "check that it reaches MySQL and that the schema is current; its log says why it cannot read the limits. It keeps the limits that it has",
		"has limits of generation %d, not %d", i.Generation, f.Generation)
	say(f.otherSales(i), Fail, "check that it reaches MySQL and Redis; its log says why its sale snapshots are out of date",
		"does not have the sales of MySQL and Redis: %d loaded, of %d", i.SalesLoaded, f.Loaded)
	say(len(i.BreakersOpen) > 0, Fail, "the server does not answer from its machine: see its /readyz?verbose and its log",
		"does not call %s at present", strings.Join(i.BreakersOpen, ", "))
	say(i.Fault != "", Fail, "see the finding of the server above; if there is none, its machine or its settings differ from this one's: run `seckill doctor` there", "cannot do at present: %s", i.Fault)
	least, most := uint64(filesLeast), f.HeldPolls+filesBeside
	if !api {
		least, most = 256, 1024
	}
	say(i.MaxFiles > 0 && i.MaxFiles < most, level(i.MaxFiles < least), "raise its limit of open files (ulimit -n, LimitNOFILE): every connection is one; or lower SECKILL_HELD_POLLS",
		"may open %d files, and needs %d", i.MaxFiles, most)
	say(i.MaxMySQLConns > 0 && i.Load.MySQLConns == 0 || i.Load.RedisConns == 0, Warn, "it opens them with the first orders; if this does not change, it does not reach the server",
		"has no open connection to MySQL or to Redis")
	// A heartbeat has the time of the process and the time at which Redis got it.
	if drift := clock("", "Redis'", i.SaidAt.Sub(i.SeenAt), messageTakes); drift.Level != OK {
		found = append(found, drift)
	}
	return several(i.ID, f.Line(i), found...)
}

// messageTakes is how long a heartbeat may take on a busy machine.
const messageTakes = 250 * time.Millisecond

func level(fails bool) Level {
	if fails {
		return Fail
	}
	return Warn
}

// Roles checks whether enough processes are alive to sell. If they could not be
// read, Check reports that.
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
			found = append(found, failure(name, start, "none is running"))
			continue
		}
		found = append(found, rule(n < 2, Warn, name, start+" on a second machine: with only one, a crash or a restart stops the sale", "%d running", n))
	}
	return found
}

// Consumers counts the live consumers.
func (f Fleet) Consumers() (n int) {
	for _, i := range f.Instances {
		if i.Role == fleet.RoleConsumer {
			n++
		}
	}
	return n
}
