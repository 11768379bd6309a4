package simulation

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// The kinds of faults. Those of a port last for a while, strike a share of the
// calls of one process or of all, and have one of four effects on a call.
const (
	crash    = "crash"     // a process dies at its n-th call, before or after the effect
	powerCut = "power-cut" // all processes at once

	redisRefused = "redis-refused"
	redisLost    = "redis-lost" // done, the answer is lost
	redisHalf    = "redis-half" // a pipeline is cut off in its middle
	redisSlow    = "redis-slow"
	redisFlush   = "redis-flush"   // FLUSHALL
	redisOlder   = "redis-older"   // restarts with older data
	redisRestart = "redis-restart" // connections and scripts are gone
	redisClock   = "redis-clock"   // is ahead, or behind

	storeRefused = "store-refused" // before COMMIT
	storeLost    = "store-lost"    // after COMMIT
	storeSlow    = "store-slow"    // before it
	storeLate    = "store-late"    // committed, the answer takes its time

	sendRefused = "send-refused"
	sendLost    = "send-lost" // stored, outcome unknown
	sendGone    = "send-gone" // not stored, outcome unknown
	sendSlow    = "send-slow"

	queueHeld    = "queue-held"    // messages appear late
	queueTwice   = "queue-twice"   // messages are there several times
	queueStalled = "queue-stalled" // one queue delivers late
	ackLost      = "ack-lost"      // handled, and delivered again

	strangers = "strangers" // orders that Redis does not know
	double    = "double"    // a second order under an ID
	poison    = "poison"    // messages that are no orders, or impossible ones

	pause   = "pause"   // the operator pauses a sale for a while
	restock = "restock" // and adds units
	rebuild = "rebuild" // loads a sale anew
)

// fault is one thing that goes wrong.
type fault struct {
	kind     string
	at, span time.Duration
	who      string  // a process; "" is any
	share    float64 // of the calls
	delay    time.Duration
	n        int
	call     string // crash: what the call begins with
	after    bool   // crash: the call has its effect
}

func (f fault) String() string {
	s := fmt.Sprintf("%s@%.1fs", f.kind, f.at.Seconds())
	if f.span > 0 {
		s += fmt.Sprintf("+%.1fs", f.span.Seconds())
	}
	if f.who != "" {
		s += "/" + f.who
	}
	if f.share > 0 && f.share < 1 {
		s += fmt.Sprintf("/%.0f%%", 100*f.share)
	}
	if f.delay != 0 {
		s += "/" + f.delay.String()
	}
	if f.call != "" {
		s += "/" + f.call
	}
	if f.n > 0 {
		s += fmt.Sprintf("/%d", f.n)
	}
	return s
}

// plan is all that a seed fixes.
type plan struct {
	seed     uint64
	load     time.Duration
	sales    [2]terms
	faults   []fault
	visitors []visitor
	skews    map[string]time.Duration // of the processes' clocks
	starts   map[string]time.Duration // so that not all look at the same moments
	instant  bool                     // calls take no time: all that happens at one moment races
	queues   int
	relearn  time.Duration // for which a queue stays without a consumer when one goes
}

// terms are those of a sale.
type terms struct {
	total, orders, units int
	attempts             int // 0: any number
	payWithin            time.Duration
}

var processes = []string{"api-0", "api-1", "consumer-0", "consumer-1"}

// windows are the faults that last, and how likely each is drawn.
var windows = []string{
	redisRefused, redisLost, redisLost, redisHalf, redisSlow, redisSlow,
	storeRefused, storeLost, storeLost, storeSlow, storeLate, storeLate,
	sendRefused, sendLost, sendGone, sendGone, sendSlow,
	queueHeld, queueHeld, queueTwice, queueTwice, queueStalled, ackLost,
}

// moments are the faults that happen at once.
var moments = []string{
	crash, crash, crash, crash, crash, crash, powerCut,
	redisFlush, redisOlder, redisOlder, redisOlder, redisRestart, redisClock,
	strangers, double, poison, pause, restock, rebuild,
}

// calls are those at which a crash is worst, of an API and of a consumer.
var calls = [2][]string{{"redis eval", "send", "redis eval", "mysql"}, {"delivery", "mysql settle", "mysql settle", "mysql", "redis eval"}}

func newPlan(seed uint64) plan {
	r := rand.New(rand.NewPCG(seed, 1))
	p := plan{seed: seed, load: seconds(r, 2, 6), queues: 1 + r.IntN(3), relearn: seconds(r, 0, 4), skews: map[string]time.Duration{}, starts: map[string]time.Duration{}}
	p.sales[0] = terms{total: 3 + r.IntN(10), orders: 1, units: 1, payWithin: 10 * time.Minute}
	p.sales[1] = terms{total: 3 + r.IntN(20), orders: 2, units: 2, payWithin: 10 * time.Minute}
	if r.IntN(3) == 0 {
		p.sales[r.IntN(2)].payWithin = seconds(r, 1, 20)
	}
	if r.IntN(6) == 0 {
		p.skews[processes[r.IntN(2)]] = []time.Duration{-time.Hour, -70 * time.Second, -20 * time.Second, 3 * time.Second, 10 * time.Second}[r.IntN(5)]
	}
	p.instant = r.IntN(4) == 0
	for _, name := range processes {
		p.starts[name] = seconds(r, 0, 0.99)
	}
	for range 1 + r.IntN(5) {
		p.faults = append(p.faults, p.drawFault(r))
	}
	if r.IntN(2) == 0 { // what the queue alone knows shows what an acknowledgement is worth
		p.faults = append(p.faults, p.moment(r, crash))
	}
	if r.IntN(3) == 0 {
		p.faults = append(p.faults, p.moment(r, strangers))
	}
	p.visitors = drawVisitors(r, p)
	for i := range p.sales {
		p.sales[i].attempts = r.IntN(4)
	}
	return p
}

func (p plan) drawFault(r *rand.Rand) fault {
	if r.IntN(2) == 0 {
		f := fault{
			kind: windows[r.IntN(len(windows))], at: seconds(r, 0, p.load.Seconds()), span: seconds(r, 0.1, p.load.Seconds()/2),
			share: []float64{0.1, 0.3, 0.6, 1}[r.IntN(4)], delay: seconds(r, 0.01, 3), n: 1 + r.IntN(4),
		}
		if r.IntN(2) == 0 {
			f.who = processes[r.IntN(len(processes))]
		}
		if f.kind == queueHeld {
			f.delay = []time.Duration{seconds(r, 0.1, 3), seconds(r, 5, 65)}[r.IntN(2)]
		}
		return f
	}
	return p.moment(r, moments[r.IntN(len(moments))])
}

func (p plan) moment(r *rand.Rand, kind string) fault {
	f := fault{kind: kind, at: seconds(r, 0, p.load.Seconds()), n: 1 + r.IntN(12), after: r.IntN(2) == 0}
	switch f.kind {
	case crash, powerCut:
		i := r.IntN(len(processes))
		f.who, f.delay = processes[i], seconds(r, 0.1, 5)
		if f.kind == crash && r.IntN(3) > 0 {
			f.call, f.n = calls[i/2][r.IntN(len(calls[i/2]))], 1+f.n/4
		}
	case strangers:
		f.at, f.delay = f.at/2, seconds(r, 0, 0.3)
	case redisOlder:
		f.delay = []time.Duration{seconds(r, 0.05, 0.5), seconds(r, 0.5, 5)}[r.IntN(2)]
	case redisClock:
		f.delay, f.span = []time.Duration{-time.Hour, -5 * time.Second, 5 * time.Second, time.Hour}[r.IntN(4)], seconds(r, 0.5, 4)
	case pause:
		f.span = seconds(r, 0.2, 2)
	}
	return f
}

func seconds(r *rand.Rand, from, to float64) time.Duration {
	return time.Duration((from + r.Float64()*(to-from)) * float64(time.Second)).Round(time.Millisecond)
}

func (p plan) String() string {
	texts := []string{}
	for _, f := range p.faults {
		texts = append(texts, f.String())
	}
	for who, d := range p.skews {
		texts = append(texts, "clock/"+who+"/"+d.String())
	}
	return strings.Join(texts, " ")
}

// lossy reports whether Redis forgets something, so that a key may name two
// orders, of which one is rejected.
func (p plan) lossy() bool {
	for _, f := range p.faults {
		switch f.kind {
		case redisFlush, redisOlder, rebuild:
			return true
		}
	}
	return false
}

// sales are the IDs of the two sales.
var sales = [2]int64{1 << 40, 1<<40 + 1}
