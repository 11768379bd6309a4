package rocketmq

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"seckill/internal/batching"
	"seckill/internal/failpoint"
	"seckill/internal/loop"
	"seckill/internal/telemetry"
	"seckill/order"
)

const (
	// batchBudget bounds all tries of one batch together.
	batchBudget = 2500 * time.Millisecond
	minTry      = 100 * time.Millisecond // less left is not worth a try
	retryFirst  = 20 * time.Millisecond
	retryMax    = 500 * time.Millisecond

	defaultSenders = 2
	defaultQueue   = 4096

	// overlap is how long a batch is under way alone: orders that come meanwhile
	// make the next one fuller. With a second sender always at work, batches were
	// a third smaller and an order cost broker and API 5 µs more at 64
	// connections, 2 at 256. Half a dozen of the usual round trips.
	overlap = 5 * time.Millisecond
)

// PublisherOptions are all optional, except Signer.
type PublisherOptions struct {
	Signer *order.Signer // of the messages
	// Guard wraps each batch call, a breaker for one. If it returns an
	// error that is not ours, it did not call fn.
	Guard func(fn func() error) error
	// Observe is called for each batch: stored, not_stored or unknown, its
	// messages, and how long its tries took together.
	Observe func(outcome string, batch int, took time.Duration)
	Tracer  *telemetry.Tracer // nil: nothing is traced
	Senders int               // 0 is 2; the second one helps out while a send takes long
	Queue   int               // orders that may wait; 0 is 4096
}

// Publisher sends orders in batches of what is waiting, without lingering.
// Safe for concurrent use.
type Publisher struct {
	opts  PublisherOptions
	probe string
	topic string
	name  string // of the topic in traces: without its namespace
	link  *link

	queue  chan *pending
	turn   chan struct{} // taken by the sender that may gather
	idle   sync.Pool     // of *pending
	mu     sync.RWMutex  // held for reading while a Publish enqueues
	closed bool

	senders sync.WaitGroup
	stop    context.CancelFunc // ends the link
	linked  sync.WaitGroup
	probes  atomic.Uint64
}

// pending is an order that waits for its outcome.
type pending struct {
	id    string
	body  []byte // of a message that is no order; tests send such
	order order.Order
	span  telemetry.Span // of the message
	state atomic.Int32   // waiting -> taken by a sender | withdrawn by its caller
	done  chan error
}

func newPending() any { return &pending{done: make(chan error, 1)} }

const (
	waiting int32 = iota
	inBatch
	withdrawn
)

// NewPublisher starts a publisher, whether or not the broker is there: until
// it is, Publish returns ErrNotStored. The error is ErrOptions. The caller
// must Close it.
func NewPublisher(opts Options, popts PublisherOptions) (*Publisher, error) {
	opts, err := opts.checked()
	if err != nil {
		return nil, err
	}
	if popts.Signer == nil {
		return nil, fmt.Errorf("%w: a publisher needs a signer", ErrOptions)
	}
	setUpClient(opts.Log)
	p := newPublisher(opts, popts)
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	p.linked.Go(func() { p.link.run(ctx) })
	for range p.opts.Senders {
		p.senders.Go(p.sendAll)
	}
	return p, nil
}

// newPublisher returns a publisher that nothing runs yet.
func newPublisher(opts Options, popts PublisherOptions) *Publisher {
	if popts.Guard == nil {
		popts.Guard = func(fn func() error) error { return fn() }
	}
	if popts.Observe == nil {
		popts.Observe = func(string, int, time.Duration) {}
	}
	if popts.Senders <= 0 {
		popts.Senders = defaultSenders
	}
	if popts.Queue <= 0 {
		popts.Queue = defaultQueue
	}
	p := &Publisher{
		opts: popts, topic: opts.Topic, name: strings.TrimPrefix(opts.Topic, opts.Namespace+"%"), probe: opts.ProbeTopic,
		link: newLink(opts), queue: make(chan *pending, popts.Queue), turn: make(chan struct{}, 1),
		idle: sync.Pool{New: newPending},
	}
	p.turn <- struct{}{}
	return p
}

// Publish returns nil when the broker stored the order, ErrNotStored when it
// surely did not, and ErrUnknown otherwise. It returns within about 3 seconds,
// or once ctx is done; an order that is being sent then is unknown.
func (p *Publisher) Publish(ctx context.Context, o order.Order) error {
	w, _ := p.idle.Get().(*pending)
	w.order, w.span = o, p.opts.Tracer.Create(ctx, p.name, int64(o.ID))
	w.state.Store(waiting)
	err := p.publish(ctx, w)
	w.span.End(err)
	if err == nil { // a sender may still answer one whose caller gave up
		p.idle.Put(w)
	}
	return err
}

func (p *Publisher) publish(ctx context.Context, w *pending) error {
	if err := p.enqueue(w); err != nil {
		return err
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
	}
	if w.state.CompareAndSwap(waiting, withdrawn) {
		return fmt.Errorf("%w: %w", ErrNotStored, ctx.Err())
	}
	select {
	case err := <-w.done: // it came at the same time
		return err
	default:
		return fmt.Errorf("%w: %w", ErrUnknown, ctx.Err())
	}
}

func (p *Publisher) enqueue(w *pending) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return fmt.Errorf("%w: publisher closed", ErrNotStored)
	}
	select {
	case p.queue <- w:
		return nil
	default:
		return fmt.Errorf("%w: %d orders are waiting", ErrNotStored, cap(p.queue))
	}
}

// Probe sends one message to the probe topic over the connection that orders
// take, once. It does not go through the guard: a breaker calls it from inside
// itself to find out whether it may close, and would be refused.
func (p *Publisher) Probe(ctx context.Context) error {
	id := "probe-" + strconv.FormatUint(p.probes.Add(1), 10)
	batch := appendMessage(nil, id, "", func(b []byte) []byte { return append(b, '-') })
	o, err := p.link.try(ctx, p.probe, batch)
	return sum(o == stored, o == unclear, err)
}

// Close refuses new orders, sends those that wait, and disconnects. When ctx
// is done first, the orders still waiting are answered ErrNotStored.
func (p *Publisher) Close(ctx context.Context) error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	close(p.queue)
	p.mu.Unlock()

	drained := make(chan struct{})
	go func() { p.senders.Wait(); close(drained) }()
	var err error
	select {
	case <-drained:
	case <-ctx.Done():
		err = fmt.Errorf("close publisher: %w", ctx.Err())
		for w := range p.queue {
			w.settle(fmt.Errorf("%w: publisher closed", ErrNotStored))
		}
	}
	p.stop()
	p.linked.Wait()
	p.link.close(ctx)
	<-drained // without a producer every try ends at once
	return err
}

// settle answers an order that no sender has taken.
func (w *pending) settle(err error) {
	if w.state.CompareAndSwap(waiting, inBatch) {
		w.done <- err
	}
}

// sendAll is one sender: it sends what is waiting until the queue is closed.
// Senders take turns; one whose batch takes long passes its turn on before.
func (p *Publisher) sendAll() {
	var (
		batch []*pending
		buf   []byte
	)
	pass := func() { p.turn <- struct{}{} }
	for range p.turn {
		w, more := <-p.queue
		if !more {
			pass() // to the other senders, so that they end as well
			return
		}
		batch, buf = p.add(w, batch[:0], buf[:0])
		for w := range batching.Waiting(p.queue, maxBatch-1) {
			batch, buf = p.add(w, batch, buf)
		}
		late := time.AfterFunc(overlap, pass)
		if p.sendOne(batch, buf) {
			buf = nil // that try may still read it, even if a later one succeeded
		}
		clear(batch)
		if late.Stop() {
			pass()
		}
	}
}

// sendOne sends a batch and answers its callers. stuck is true while the client may
// still read buf.
func (p *Publisher) sendOne(batch []*pending, buf []byte) (stuck bool) {
	if len(batch) == 0 { // all withdrew
		return false
	}
	start, span := time.Now(), p.trace(batch)
	err := p.guarded(func() (err error) { stuck, err = p.send(buf); return err })
	p.opts.Observe(outcomeName(err), len(batch), time.Since(start))
	span.End(err)
	for _, w := range batch {
		w.done <- err
	}
	return stuck
}

// trace begins the span of a batch, if a message in it is traced.
func (p *Publisher) trace(batch []*pending) telemetry.Span {
	if p.opts.Tracer == nil {
		return telemetry.Span{}
	}
	spans := make([]telemetry.Span, len(batch))
	for i, w := range batch {
		spans[i] = w.span
	}
	return p.opts.Tracer.Send(p.name, len(batch), spans)
}

// add adds the order and its message to a batch, unless its caller has given up.
// A message is below 1 kB, so a full batch is far below what a broker takes.
func (p *Publisher) add(w *pending, batch []*pending, buf []byte) ([]*pending, []byte) {
	if !w.state.CompareAndSwap(waiting, inBatch) {
		return batch, buf
	}
	if w.body != nil {
		buf = appendMessage(buf, w.id, "", func(b []byte) []byte { return append(b, w.body...) })
	} else {
		buf = appendOrder(buf, p.opts.Signer, w.order, w.span.Traceparent())
	}
	return append(batch, w), buf
}

// send tries until the batch is stored, surely cannot be, or the budget is
// spent. A try that was unclear makes the end unknown, unless a later one is
// stored. stuck is true while the client may still read batch.
func (p *Publisher) send(batch []byte) (stuck bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), batchBudget)
	defer cancel()
	end, _ := ctx.Deadline()
	doubt := false
	for wait := retryFirst; ; wait = min(2*wait, retryMax) {
		o, err := p.link.try(ctx, p.topic, batch)
		if fault := failpoint.Hit(ctx, failpoint.AfterSend); fault != nil {
			o, err = unclear, fault
		}
		stuck = stuck || errors.Is(err, errStuck)
		doubt = doubt || o == unclear
		if o == stored || o == refused {
			return stuck, sum(o == stored, doubt, err)
		}
		wait := wait/2 + rand.N(wait)
		if time.Until(end) < wait+minTry || loop.Pause(ctx, wait) != nil {
			return stuck, sum(false, doubt, err)
		}
	}
}

// sum is the outcome of all tries.
func sum(ok, doubt bool, err error) error {
	switch {
	case ok:
		return nil
	case doubt:
		return fmt.Errorf("%w: %w", ErrUnknown, cause(err))
	default:
		return fmt.Errorf("%w: %w", ErrNotStored, cause(err))
	}
}

// cause is err, or what a nil error with a bad status means.
func cause(err error) error {
	if err == nil {
		return errors.New("the broker could not flush it in time")
	}
	return err
}

// guarded runs fn through the guard; an error of the guard's own means that fn
// was not called.
func (p *Publisher) guarded(fn func() error) error {
	err := p.opts.Guard(fn)
	if err == nil || errors.Is(err, ErrUnknown) || errors.Is(err, ErrNotStored) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrNotStored, err)
}

func outcomeName(err error) string {
	switch {
	case err == nil:
		return "stored"
	case errors.Is(err, ErrUnknown):
		return "unknown"
	default:
		return "not_stored"
	}
}
