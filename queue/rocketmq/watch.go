package rocketmq

import (
	"context"
	"strconv"
	"strings"
	"time"
)

const (
	// stallAfter is how long a queue of ours may have messages that nobody
	// delivers while no handler is busy.
	stallAfter = 5 * time.Second
	// forgetAfter is how long a broker that is down is asked for.
	forgetAfter = 10 * time.Minute
	lookTimeout = time.Second // of one request
)

// watch tells when a client consumer has to be replaced: its requests under
// way do not fail when their connection breaks, so it waits for half a minute.
// It has a connection of its own to every broker, which breaks when theirs do.
type watch struct {
	opts Options
	rpc  *caller

	brokers map[string]*peer    // by name
	behind  map[string]sighting // by queue
	noPlace time.Time           // since when the broker does not count us in
	routed  bool                // a name server knew the topic at the last look
}

// peer is a master broker of the topic.
type peer struct {
	addr   string
	queues int
	down   time.Time // since when; zero: up
	listed bool      // by the name servers, at the last look
}

// sighting is where a queue's deliveries stood when it fell behind.
type sighting struct {
	next  int64
	since time.Time
}

// newWatch takes a caller of its own: it is told of broken connections.
func newWatch(opts Options, rpc *caller) *watch {
	w := &watch{opts: opts, rpc: rpc, brokers: make(map[string]*peer)}
	rpc.lost = w.lost
	w.reset()
	return w
}

// lost notes that the connection to addr broke; look runs the calls that find
// it out.
func (w *watch) lost(addr string) {
	for _, p := range w.brokers {
		if p.addr == addr && p.down.IsZero() {
			p.down = time.Now()
		}
	}
}

// reset forgets what was seen of the consumer that is being replaced.
func (w *watch) reset() {
	w.behind = make(map[string]sighting)
	w.noPlace = time.Time{}
}

// look asks the brokers how they are and returns why the consumer must be
// replaced, or ""; see also routed. active is the number of deliveries being handled.
func (w *watch) look(ctx context.Context, in *intake, active int64) string {
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

// refresh asks a name server where the brokers are. While none answers, they
// are where they were.
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
			p.down = time.Now() // it moved: the consumer is connected to the old place
		}
		p.addr, p.queues, p.listed = s.Addr, s.Queues, true
	}
}

// ends returns where the queues of ours on a broker end; at least one queue is
// asked, to see how the broker is.
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

// fallsBehind reports whether a queue of ours has had messages for stallAfter
// without a delivery while nothing was being handled.
func (w *watch) fallsBehind(ctx context.Context, p *peer, own, ends Offsets, active int64) bool {
	stalled := false
	for key, end := range ends {
		next, ours := own[key]
		if !ours {
			continue
		}
		if next < 0 && end > 0 { // nothing delivered: it begins where the group stood
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
		case max(next, 0) >= end || active > 0: // a queue that nothing ever came into ends at 0
			delete(w.behind, key)
		case !known || seen.next != next:
			w.behind[key] = sighting{next, time.Now()}
		case time.Since(seen.since) >= stallAfter:
			stalled = true
		}
	}
	return stalled
}

// left reports whether the group has had no place for this consumer for
// stallAfter: its first rebalance failed, and the client's next is far.
func (w *watch) left(assigned bool) bool {
	switch {
	case assigned || w.noPlace.IsZero():
		w.noPlace = time.Now()
		return false
	default:
		return time.Since(w.noPlace) >= stallAfter
	}
}
