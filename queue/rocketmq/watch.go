package rocketmq

import (
	"context"
	"strconv"
	"strings"
	"time"
)

const (
	// stallAfter is how long a queue of ours may have undelivered messages while no
	// handler is busy.
	stallAfter = 5 * time.Second
	// forgetAfter is how long a broker that is down is watched.
	forgetAfter = 10 * time.Minute
	lookTimeout = time.Second // of one request
)

// watch decides when a client consumer must be replaced: its requests in progress do not
// fail when their connection breaks, so that it waits for half a minute. watch has its
// own connection to every broker, which breaks at the same time.
type watch struct {
	opts Options
	rpc  *caller

	brokers map[string]*peer    // by name
	behind  map[string]sighting // by queue
	noPlace time.Time           // since when the broker does not list us
	routed  bool                // a name server knew the topic at the last check
}

// peer is a master broker of the topic.
type peer struct {
	addr   string
	queues int
	down   time.Time // since when; zero: up
	listed bool      // by the name servers, at the last check
}

// sighting is the delivery position of a queue when it fell behind.
type sighting struct {
	next  int64
	since time.Time
}

// newWatch sets the caller's lost: the caller must be the watch's own.
func newWatch(opts Options, rpc *caller) *watch {
	w := &watch{opts: opts, rpc: rpc, brokers: make(map[string]*peer)}
	rpc.lost = w.lost
	w.reset()
	return w
}

// lost records that the connection to addr broke. It is called during check's requests.
func (w *watch) lost(addr string) {
	for _, p := range w.brokers {
		if p.addr == addr && p.down.IsZero() {
			p.down = time.Now()
		}
	}
}

// reset clears the state of the consumer that is being replaced.
func (w *watch) reset() {
	w.behind = make(map[string]sighting)
	w.noPlace = time.Time{}
}

// check asks the brokers and returns why the consumer must be replaced, or ""; see also
// routed. active is the number of deliveries in progress.
func (w *watch) check(ctx context.Context, in *intake, active int64) string {
	w.refresh(ctx)
	own, assigned := in.progress()
	back, stalled := false, false
	for name, p := range w.brokers {
		wasDown := !p.down.IsZero()
		ends, err := w.ends(ctx, name, p, own)
		switch {
		case err != nil && !timedOut(err) && !wasDown:
			p.down = time.Now()
		case err != nil:
		case !p.down.IsZero() && p.listed:
			p.down = time.Time{}
			back = true
		default:
			stalled = w.fallsBehind(ctx, p, own, ends, active) || stalled
		}
	}
	switch {
	case back:
		return "the broker is back"
	case stalled:
		return "messages wait, none are delivered"
	case w.left(assigned):
		return "no place in the group"
	}
	return ""
}

// refresh asks a name server for the addresses of the brokers. While none responds, the
// known ones stay.
func (w *watch) refresh(ctx context.Context) {
	shards, err := w.rpc.route(ctx, w.opts.NameServers, w.opts.Topic)
	for name, p := range w.brokers {
		p.listed = false
		if !p.down.IsZero() && time.Since(p.down) > forgetAfter {
			delete(w.brokers, name)
		}
	}
	w.routed = err == nil
	for _, s := range shards {
		p := w.brokers[s.Broker]
		if p == nil {
			p = &peer{}
			w.brokers[s.Broker] = p
		}
		if p.addr != "" && p.addr != s.Addr && p.down.IsZero() {
			p.down = time.Now() // it moved: the consumer is connected to the old address
		}
		p.addr, p.queues, p.listed = s.Addr, s.Queues, true
	}
}

// ends returns the ends of our queues on a broker. It asks for at least one queue, to
// check the broker.
func (w *watch) ends(ctx context.Context, name string, p *peer, own Offsets) (Offsets, error) {
	ends := make(Offsets)
	for q := range max(1, p.queues) {
		key := queueKey(name, q)
		if _, ours := own[key]; !ours && q > 0 {
			continue
		}
		n, err := w.offset(ctx, p.addr, codeMaxOffset, q)
		if err != nil {
			return nil, err
		}
		ends[key] = n
	}
	return ends, nil
}

func (w *watch) offset(ctx context.Context, addr string, code, queue int) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	a := Admin{opts: w.opts, rpc: w.rpc}
	if code == codeQueryCommitted {
		return a.committed(ctx, addr, strconv.Itoa(queue))
	}
	return a.maxOffset(ctx, addr, strconv.Itoa(queue))
}

// fallsBehind reports whether a queue of ours had messages for stallAfter, without a
// delivery, while no handler was busy.
func (w *watch) fallsBehind(ctx context.Context, p *peer, own, ends Offsets, active int64) bool {
	stalled := false
	for key, end := range ends {
		next, ours := own[key]
		if !ours {
			continue
		}
		if next < 0 && end > 0 { // nothing delivered: it begins at the group's offset
			_, number, _ := strings.Cut(key, "/")
			q, _ := strconv.Atoi(number) // ours: queueKey made it
			at, err := w.offset(ctx, p.addr, codeQueryCommitted, q)
			if err != nil {
				continue
			}
			next = at
		}
		seen, known := w.behind[key]
		switch {
		case max(next, 0) >= end || active > 0: // a queue without any message ends at 0
			delete(w.behind, key)
		case !known || seen.next != next:
			w.behind[key] = sighting{next, time.Now()}
		case time.Since(seen.since) >= stallAfter:
			stalled = true
		}
	}
	return stalled
}

// left reports whether the group has not had this consumer for stallAfter: its first
// rebalance failed, and the client's next one is much later.
func (w *watch) left(assigned bool) bool {
	switch {
	case assigned || w.noPlace.IsZero():
		w.noPlace = time.Now()
		return false
	default:
		return time.Since(w.noPlace) >= stallAfter
	}
}
