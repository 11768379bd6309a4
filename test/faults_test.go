//go:build e2e

package test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"seckill/internal/failpoint"
	"seckill/order"
	"seckill/stock"
)

// fault is one thing that goes wrong in a schedule: begun some time after the
// load, and ended after its span.
type fault struct {
	kind, what string
	at, span   time.Duration
	lossy      bool                   // Redis forgets writes
	breaks     bool                   // a server, or the wire of all to it
	arm        map[int]string         // failpoints by role, set before the load
	before     func(a *testbed)       // what it waits for, before the load; may be nil
	begin, end func(a *testbed) error // end may be nil
}

func (f fault) String() string {
	s := f.what
	if len(f.arm) == 0 {
		s += fmt.Sprintf("@%.1fs", f.at.Seconds())
	}
	if f.end != nil {
		s += fmt.Sprintf("+%.1fs", f.span.Seconds())
	}
	return s
}

// kind is a sort of fault, with its maker.
type kind struct {
	name string
	make func(rng *rand.Rand) fault
}

// kinds are the faults that schedules draw from.
var kinds = []kind{
	{"kill-process", killProcess},
	{"stop-process", stopProcess},
	{"kill-server", killServer9},
	{"stop-server", stopServer},
	{"wire", wire},
	{"wire-broker", brokerWire},
	{"redis-tail", redisTail},
	{"promotion", promotion},
	{"flushall", flushAll},
	{"mysql-down", mysqlDown},
	{"duplicates", duplicates},
	{"strangers", strangers},
	{"poison", poisonMessages},
	{"clock", clock},
	{"failpoint", failpointFault},
	{"rolling", rolling},
}

// special are faults that are not drawn: those of a seed now and then, as they
// take long, and those made for a mutant, which are what its rule is there for.
var special = []kind{
	{"mysql-away", func(rng *rand.Rand) fault {
		f := mysqlDown(rng)
		f.at, f.span = 2*time.Second+time.Duration(rng.Int64N(int64(8*time.Second))), time.Minute
		return f
	}},
	{"disk-full", diskFull},
	{"broker-frozen", func(*rand.Rand) fault { return freeze("broker") }},
	{"no-answer", func(rng *rand.Rand) fault { // and the order is settled late
		f, frozen := armed(rng, point(failpoint.AfterSend), "error", 60), freeze("mariadb")
		f.what += "+" + frozen.what
		f.breaks, f.begin, f.end, f.at, f.span = true, frozen.begin, frozen.end, 50*time.Millisecond, 6*time.Second
		return f
	}},
	{"strangers-unwritten", func(rng *rand.Rand) fault { // only the tail tells Redis of them
		f := strangers(rng)
		put := f.begin
		f.what, f.begin = "strangers+reset:consumer>redis", func(a *testbed) error {
			return errors.Join(unlessThere(a.links["consumer>redis"].poison("reset")), put(a))
		}
		f.end = func(a *testbed) error { return a.links["consumer>redis"].heal() }
		return f
	}},
	{"strangers-killed", func(rng *rand.Rand) fault {
		f := strangers(rng)
		put := f.begin
		f.what, f.begin = "strangers+kill:consumers", func(a *testbed) error {
			err := put(a)
			a.roles[2].kill()
			a.roles[3].kill()
			return err
		}
		f.end = func(a *testbed) error { return errors.Join(a.roles[2].raise(""), a.roles[3].raise("")) }
		return f
	}},
}

func point(name string) failpoint.Point {
	return failpoint.Points[slices.IndexFunc(failpoint.Points, func(p failpoint.Point) bool { return p.Name == name })]
}

// draw makes the faults of a seed: one of each wanted kind, then others, one
// to three in all.
func draw(rng *rand.Rand, load time.Duration, wanted ...string) []fault {
	n := max(1+rng.IntN(3), len(wanted))
	var fs []fault
	for i := range n {
		k := kinds[rng.IntN(len(kinds))]
		if i < len(wanted) {
			all := slices.Concat(kinds, special)
			k = all[slices.IndexFunc(all, func(k kind) bool { return k.name == wanted[i] })]
		}
		f := k.make(rng)
		f.kind = k.name
		if f.at > 0 {
			fs = append(fs, f)
			continue
		}
		f.at = load/8 + time.Duration(rng.Int64N(int64(load*5/8)))
		f.span = load/15 + time.Duration(rng.Int64N(int64(load*2/5)))
		fs = append(fs, f)
	}
	return fs
}

var roleNames = []string{"api-0", "api-1", "consumer-0", "consumer-1"}

func killProcess(rng *rand.Rand) fault {
	i := rng.IntN(len(roleNames))
	return fault{
		what:  "kill:" + roleNames[i],
		begin: func(a *testbed) error { a.roles[i].kill(); return nil },
		end:   func(a *testbed) error { return a.roles[i].raise("") },
	}
}

func stopProcess(rng *rand.Rand) fault {
	i := rng.IntN(len(roleNames))
	return fault{
		what:  "stop:" + roleNames[i],
		begin: func(a *testbed) error { return a.roles[i].signal(syscall.SIGSTOP) },
		end:   func(a *testbed) error { return a.roles[i].signal(syscall.SIGCONT) },
	}
}

func killServer9(rng *rand.Rand) fault {
	name := serverNames[rng.IntN(len(serverNames))]
	return fault{
		what: "kill:" + name, lossy: name == "redis", breaks: true,
		begin: func(a *testbed) error { return a.servers[name].kill() },
		end:   func(a *testbed) error { return a.servers[name].start() },
	}
}

func stopServer(rng *rand.Rand) fault { return freeze(serverNames[rng.IntN(len(serverNames))]) }

func freeze(name string) fault {
	return fault{
		what: "stop:" + name, breaks: true,
		begin: func(a *testbed) error { return a.servers[name].signal(syscall.SIGSTOP) },
		end:   func(a *testbed) error { return a.servers[name].signal(syscall.SIGCONT) },
	}
}

func mysqlDown(*rand.Rand) fault {
	return fault{
		what: "down:mariadb", breaks: true,
		begin: func(a *testbed) error { return a.servers["mariadb"].kill() },
		end:   func(a *testbed) error { return a.servers["mariadb"].start() },
	}
}

func wire(rng *rand.Rand) fault {
	return wireFault(rng, "api>redis", "api>mysql", "consumer>redis", "consumer>mysql")
}

// brokerWire is the one wire of all who send and receive.
func brokerWire(rng *rand.Rand) fault {
	f := wireFault(rng, "clients>broker")
	f.breaks = true
	return f
}

func wireFault(rng *rand.Rand, names ...string) fault {
	name := names[rng.IntN(len(names))]
	return wireTo(name, []string{"timeout", "reset", "latency", "cut"}[rng.IntN(4)])
}

func wireTo(name, toxic string) fault {
	return fault{
		what:  toxic + ":" + name,
		begin: func(a *testbed) error { return unlessThere(a.links[name].poison(toxic)) },
		end:   func(a *testbed) error { return a.links[name].heal() },
	}
}

// unlessThere ignores a second fault of the same link.
func unlessThere(err error) error {
	if err != nil && strings.Contains(err.Error(), "already exists") {
		return nil
	}
	return err
}

func redisTail(rng *rand.Rand) fault {
	lost := time.Duration(1+rng.IntN(4)) * time.Second
	return fault{
		what: fmt.Sprintf("tail-lost-%s:redis", lost), lossy: true, breaks: true,
		begin: func(a *testbed) error {
			b := a.servers["redis"]
			err := b.kill()
			_, cut := b.loseTail(lost)
			return errors.Join(err, cut, b.start())
		},
	}
}

func flushAll(*rand.Rand) fault {
	return fault{
		what: "flushall", lossy: true, breaks: true,
		begin: func(a *testbed) error {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			_ = a.shop.rdb.FlushAll(ctx).Err() // Redis may be down just now
			return nil
		},
	}
}

// failpointFault arms a point in one process.
func failpointFault(rng *rand.Rand) fault {
	p := failpoint.Points[rng.IntN(len(failpoint.Points))]
	return armed(rng, p, []string{"kill", "stop=5s", "error", "delay=500ms"}[rng.IntN(4)], 60)
}

// armed arms a point, in the process's first few passages of it. A point that
// seldom comes by gets the fault that brings the process to it, while the other
// of its role is away.
func armed(rng *rand.Rand, p failpoint.Point, action string, passages int) fault {
	i := rng.IntN(2)
	if p.Role == "consumer" {
		i += 2
	}
	f := fault{begin: func(*testbed) error { return nil }}
	n, roles := 1+rng.IntN(passages), []int{i}
	switch {
	case p.Name == failpoint.EventsSent:
		n, roles = 1, []int{2, 3} // whichever has the sale
	case p.Name == failpoint.BeforeApply:
		f, n, roles = expedited(), 1, []int{2, 3} // whichever comes by
	case strings.HasPrefix(p.Name, "sweeper."):
		f, n = alone(5-i, freeze("broker")), 1 // orders that cannot be sent are the sweeper's
	case p.Name == failpoint.BeforeRename:
		f, n = alone(5-i, flushAll(rng)), 1
	}
	setting := fmt.Sprintf("%s:%s:%d", p.Name, action, n)
	f.arm = map[int]string{}
	for _, i := range roles {
		f.arm[i] = setting
		f.what = strings.TrimPrefix(f.what+"+", "+") + setting + ":" + roleNames[i]
	}
	return f
}

// alone is f while a process is away.
func alone(i int, f fault) fault {
	begin, end := f.begin, f.end
	f.at, f.span = 300*time.Millisecond, 10*time.Second
	f.begin = func(a *testbed) error { a.roles[i].kill(); return begin(a) }
	f.end = func(a *testbed) error {
		err := a.roles[i].raise("")
		if end != nil {
			err = errors.Join(err, end(a))
		}
		return err
	}
	return f
}

// expedited lets the sweeper meet orders that are decided already: what is
// pending is handed to it, as an API does that was not told of a send's end,
// while the verdicts are long on their way to Redis.
func expedited() fault {
	f := wireTo("consumer>redis", "late")
	poison := f.begin
	f.at, f.span = 300*time.Millisecond, time.Second
	f.what, f.begin = f.what+"+expedite", func(a *testbed) error {
		err := poison(a)
		for until := time.Now().Add(8 * time.Second); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
			for _, c := range a.crowds {
				a.expedite(c)
			}
		}
		return err
	}
	return f
}

// expedite hands the pending orders of a sale to the sweeper. Redis may be away.
func (a *testbed) expedite(c *trackedCrowd) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	sale, _ := strconv.ParseInt(c.sale, 10, 64)
	for cursor := uint64(0); ; {
		es, next, err := a.ledger.Scan(ctx, sale, cursor, 500)
		if err != nil {
			return
		}
		var pending []order.Order
		for _, e := range es {
			if e.State == stock.EntryPending {
				pending = append(pending, e.Order)
			}
		}
		if cursor = next; a.ledger.Urgent(ctx, sale, pending...) != nil || next == 0 {
			return
		}
	}
}

// rolling restarts every process in turn, as a deployment does.
func rolling(*rand.Rand) fault {
	return fault{what: "rolling", begin: func(a *testbed) error {
		for _, r := range a.roles {
			if _, err := r.restart(15*time.Second, ""); err != nil {
				return err
			}
		}
		return nil
	}}
}
