//go:build e2e

package test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/test/mutants"
)

// schedule is the plan of one seed: a load and faults.
type schedule struct {
	seed     int64
	mutant   string
	load     time.Duration
	shoppers int
	limit    time.Duration // to heal
	stopped  time.Duration // of a failpoint: nothing is healed before
	faults   []fault
}

// outcome is the line a schedule leaves.
type outcome struct {
	schedule
	accepted int
	found    []breach
	healed   time.Duration // after the faults and the load ended
	harness  bool          // the test itself went wrong
	missed   []string      // failpoints that no process came by
}

func (o outcome) ok() bool { return !o.harness && len(o.found) == 0 }

func (o outcome) count(kind string) (n int) {
	for _, b := range o.found {
		if b.kind == kind {
			n++
		}
	}
	return n
}

func (s schedule) plan() string {
	texts := make([]string, len(s.faults))
	for i, f := range s.faults {
		texts[i] = f.String()
	}
	return strings.Join(texts, " ")
}

// seldom are the faults of every 20th seed: they take long, or need root.
var seldom = map[int64]string{0: "mysql-away", 10: "disk-full"}

func newSchedule(seed int64, load time.Duration, wanted ...string) schedule {
	if name, ok := seldom[seed%20]; ok && len(wanted) == 0 {
		wanted = []string{name}
	}
	rng := rand.New(rand.NewPCG(uint64(seed), 1))
	s := schedule{seed: seed, load: load, shoppers: 1600, limit: 60 * time.Second}
	s.faults = draw(rng, s.load, wanted...)
	return s
}

// run plays the schedule. What it finds is in the outcome, not a failure of t:
// mutants are expected to be found.
func (s schedule) run(t *testing.T) (o outcome) {
	o = outcome{schedule: s, harness: true}
	rng := rand.New(rand.NewPCG(uint64(s.seed), 2))
	on, path := s.needs(t)
	a := newTestbed(t, on, path, s.mutant == noSlotKey)
	defer a.heal() // also when something is not as required: the next one needs the servers
	lossy := false
	for _, f := range s.faults {
		lossy = lossy || f.lossy
	}
	a.eventConsumer = a.shop.listen()
	a.open(rng, s.shoppers, lossy)
	a.arm(s.faults)

	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() { a.watch(ctx) })
	a.play(s, rng)
	a.heal()
	begin := time.Now()
	o.found = a.await(s.limit)
	o.healed = time.Since(begin)
	cancel()
	watching.Wait()
	for _, c := range a.crowds {
		o.accepted += len(c.acceptedIDs())
	}
	o.missed = a.missed(s.faults)
	o.harness = t.Failed()
	return o
}

// needs returns the servers to play the schedule on, and the program.
func (s schedule) needs(t *testing.T) (on *servers, path string) {
	t.Helper()
	is := func(what func(fault) bool) bool { return slices.ContainsFunc(s.faults, what) }
	build, clock := faulty, is(func(f fault) bool { return f.kind == "clock" })
	switch {
	case s.mutant != "" && s.mutant != noSlotKey:
		m, err := mutants.Named(s.mutant)
		require.NoError(t, err)
		build = func() (string, error) { return buildFaulty(m, clock) }
	case clock:
		build = clocked
	}
	path, err := build()
	require.NoError(t, err)
	if is(func(f fault) bool { return f.breaks }) || os.Getenv("SECKILL_FAULTS_DIR") != "" {
		return own.queue(t)().start(t), path
	}
	shared.queue(t)()
	return &servers{env: sharedServers(t)}, path
}

// arm prepares the faults: the processes with a failpoint are started anew, with it.
func (a *testbed) arm(faults []fault) {
	for _, f := range faults {
		if f.before != nil {
			f.before(a)
		}
		for i, setting := range f.arm {
			a.roles[i].kill()
			require.NoError(a.t, a.roles[i].raise(setting))
			require.Eventually(a.t, func() bool { return a.roles[i].p.ready() || !a.roles[i].p.running() }, 30*time.Second, 20*time.Millisecond)
		}
	}
}

// missed returns the failpoints that no process came by.
func (a *testbed) missed(faults []fault) (points []string) {
	for _, f := range faults {
		name, met := "", false
		for i, setting := range f.arm {
			name, _, _ = strings.Cut(setting, ":")
			log, err := os.ReadFile(a.roles[i].p.log)
			met = met || err == nil && strings.Contains(string(log), "failpoint "+name+":")
		}
		if name != "" && !met {
			points = append(points, name)
		}
	}
	return points
}

// play runs the load and the faults.
func (a *testbed) play(s schedule, rng *rand.Rand) {
	var buying, failing sync.WaitGroup
	for i, c := range a.crowds {
		mine := rand.New(rand.NewPCG(uint64(s.seed), uint64(10+i)))
		buying.Go(func() { c.arrive(mine, s.load) })
	}
	for _, f := range s.faults {
		failing.Go(func() {
			time.Sleep(f.at)
			a.note(f.what, f.begin(a))
			if f.end != nil {
				time.Sleep(f.span)
				a.note("end of "+f.what, f.end(a))
			}
		})
	}
	if s.stopped > 0 {
		failing.Go(func() { time.Sleep(s.load + s.stopped) })
	}
	failing.Wait()
	done := make(chan struct{})
	go func() { buying.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(s.load + 5*time.Second):
	}
	for _, c := range a.crowds {
		close(c.stopped)
	}
	<-done
}

// await waits until every promise holds, or the limit is over, and returns what
// does not.
func (a *testbed) await(limit time.Duration) []breach {
	if found := a.settled(limit); found != nil {
		return found
	}
	for _, c := range a.crowds {
		c.pollAgain() // which buys anew where a rejection was forgotten
	}
	if found := a.settled(limit); found != nil {
		return found
	}
	for _, c := range a.crowds {
		if r := a.shop.audit(c.sale); !r.OK {
			return []breach{{"audit", fmt.Sprintf("%+v", r.Sales)}}
		}
	}
	return nil
}

// settled waits until each order has its final answer and the stores agree.
func (a *testbed) settled(limit time.Duration) []breach {
	begin := time.Now()
	slow := 10 * time.Second
	for {
		left := 0
		for _, c := range a.crowds {
			left += c.undecided()
		}
		found := a.checkAll()
		if left == 0 && len(found) == 0 {
			return nil
		}
		if time.Since(begin) > limit || a.answeredWrong() {
			return append(found, breach{"lost", fmt.Sprintf("%d orders without a final answer", left)})[:max(1, len(found))]
		}
		if time.Since(begin) > slow {
			slow += 10 * time.Second
			a.t.Logf("after %s: %d undecided, %v", time.Since(begin).Round(time.Second), left, found[:min(len(found), 3)])
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// answeredWrong reports that an answer broke a promise, which no waiting repairs.
func (a *testbed) answeredWrong() bool {
	for _, c := range a.crowds {
		c.hmu.Lock()
		wrong := len(c.broken) > 0
		c.hmu.Unlock()
		if wrong {
			return true
		}
	}
	return false
}

// checkAll checks all sales once. A store that does not answer is a breach: it runs.
func (a *testbed) checkAll() (found []breach) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, c := range a.crowds {
		bs, err := c.breaches(ctx, a.ledger)
		found = append(found, bs...)
		if a.eventConsumer != nil && err == nil {
			bs, err = a.eventConsumer.breaches(ctx, c.sale)
			found = append(found, bs...)
		}
		if err != nil {
			found = append(found, breach{"lost", "cannot look: " + err.Error()})
		}
	}
	return found
}

// report writes the outcome to the test's log and as a line of progress, and appends
// it to the file of results if there is one.
func (o outcome) report(t *testing.T) {
	t.Helper()
	for _, b := range o.found[:min(len(o.found), 15)] {
		t.Logf("%s: %s", b.kind, b.what)
	}
	word := "ok"
	switch {
	case o.harness:
		word = "harness"
	case !o.ok():
		word = "FAILED"
	}
	plan := o.plan()
	if len(o.missed) > 0 {
		plan += " (never came by " + strings.Join(o.missed, ", ") + ")"
	}
	line := fmt.Sprintf("%d\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f\t%s", o.seed, commit(), plan, o.shoppers, o.accepted,
		o.count("lost"), o.count("oversold"), o.count("duplicate"), o.count("leaked")+o.count("audit"), o.healed.Seconds(), word)
	t.Log(line)
	progress := os.Getenv("SECKILL_FAULTS_PROGRESS") != ""
	if path := os.Getenv("SECKILL_FAULTS_RESULTS"); path != "" && o.mutant == "" {
		progress = true
		require.NoError(t, appendLine(path, "seed\tcommit\tfaults\tshoppers\taccepted\tlost\toversold\tduplicate\tleaked\theal_seconds\tok", line))
	}
	if progress {
		fmt.Fprintf(os.Stdout, "%s  seed %d  %s  accepted %d  healed in %.1f s  %s\n", time.Now().Format(time.TimeOnly), o.seed, plan, o.accepted, o.healed.Seconds(), word)
	}
}

func appendLine(path, header, line string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() == 0 {
		line = header + "\n" + line
	}
	_, err = fmt.Fprintln(f, line)
	return err
}

var commit = sync.OnceValue(func() string {
	out, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	name := strings.TrimSpace(string(out))
	if exec.Command("git", "diff", "--quiet", "HEAD", "--", ":(top)", ":(top,exclude)docs").Run() != nil {
		name += "-dirty"
	}
	return name
})

// number is a setting of scripts/faults, or def.
func number(name string, def int64) int64 {
	if n, err := strconv.ParseInt(os.Getenv(name), 10, 64); err == nil {
		return n
	}
	return def
}

// TestRandomSchedules plays SECKILL_FAULTS_SCHEDULES schedules, of the seeds
// from SECKILL_FAULTS_SEED on. Each has the kinds of SECKILL_FAULTS_KINDS among
// its faults. Seeds 4 and 5 are a failover of Redis to a replica that is behind, orders
// that Redis never heard of, two processes that freeze, the name server killed,
// and a Redis that lost its last seconds.
func TestRandomSchedules(t *testing.T) {
	t.Parallel()
	first := number("SECKILL_FAULTS_SEED", 4)
	wanted := strings.FieldsFunc(os.Getenv("SECKILL_FAULTS_KINDS"), func(r rune) bool { return r == ',' })
	for seed := first; seed < first+number("SECKILL_FAULTS_SCHEDULES", 2); seed++ {
		aborted := false
		t.Run(strconv.FormatInt(seed, 10), func(t *testing.T) {
			o := outcome{schedule: newSchedule(seed, 15*time.Second, wanted...), harness: true}
			defer func() { o.report(t); aborted = o.harness }()
			t.Logf("seed %d: %s", seed, o.plan())
			o = o.run(t)
			require.Empty(t, o.found, "promises broken with seed %d", seed)
		})
		require.False(t, aborted, "the test itself goes wrong: no use in going on")
	}
}
