// Package consumer settles orders. A fixed number of workers merge the deliveries
// of all queues into batches, settle each batch in one transaction, write the
// results back to Redis, and only then let the deliveries be acknowledged. The
// number of open transactions never exceeds the number of workers, whatever
// arrives; workers and rate may change while they work.
//
// After a batch of 85 orders or more a worker lingers to fill the next one; an idle
// worker never does, so a single order is settled at once. Orders that
// cannot be settled wait here, with their callers: that is the back-pressure which
// stops the pulls.
package consumer

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"seckill/internal/failpoint"
	"seckill/internal/telemetry"
	"seckill/order"
)

type settler interface {
	// Settle commits one verdict for each distinct order of the batch.
	Settle(ctx context.Context, batch []order.Order) ([]order.Verdict, error)
}

type ledger interface {
	// Apply writes committed changes to Redis; Replay writes verdicts that were only read.
	Apply(ctx context.Context, cs []order.Change) error
	Replay(ctx context.Context, vs []order.Verdict) error
}

// ErrStopped is the error of orders that the pool had not settled when it was stopped.
// They will be delivered again.
var ErrStopped = errors.New("consumer: stopped")

// Options of a Pool. Orders, Ledger and Log are required.
type Options struct {
	Orders  settler
	Ledger  ledger            // with a breaker, an unavailable Redis costs a worker no time
	Workers int               // settling workers; as measured, more than 2 gain little, or 4 with slow disks
	Batch   int               // orders per transaction, at most 256
	Rate    float64           // maximum orders per second of all workers together; 0 is no limit
	Linger  time.Duration     // how long a busy worker waits to fill a batch
	Tracer  *telemetry.Tracer // nil: nothing is traced
	Topic   string            // for the names of spans of messages
	Metrics prometheus.Registerer
	Log     *slog.Logger
}

// Pool is the fixed pool of settling workers. Safe for concurrent use.
type Pool struct {
	opts    Options
	queue   chan item
	drain   atomic.Pointer[drain]
	stopped chan struct{} // closed when Run has returned
	metrics *metrics

	mu      sync.Mutex
	wanted  int                 // workers
	working int                 // some of them may be at their last batch
	start   func()              // starts a worker; nil unless Run runs
	changed chan struct{}       // closed when workers must look again, see wake
	held    map[int64]*heldSale // by sale
}

// item is an order in the pool, with the call that waits for it.
type item struct {
	order order.Order
	call  *call
}

// call is one call of Settle; done is closed when all its orders have their verdict.
type call struct {
	left   atomic.Int64
	done   chan struct{}
	gone   atomic.Bool // the caller has returned: orders that no worker has taken are not settled
	traces traces
}

// NewPool returns a Pool. It works while Run runs.
func NewPool(o Options) *Pool {
	p := &Pool{
		opts:    o,
		queue:   make(chan item, 2*o.Batch*max(o.Workers, roomy)),
		stopped: make(chan struct{}),
		metrics: newMetrics(o.Metrics),
		wanted:  o.Workers,
		changed: make(chan struct{}),
		held:    make(map[int64]*heldSale),
	}
	p.drain.Store(newDrain(o.Rate, o.Batch))
	return p
}

// roomy is the number of workers that the queue is sized for, so that each finds its
// next batch there. More workers share it.
const roomy = 8

// Run works until ctx is done. A batch whose transaction has begun is finished. Run must
// be called only once.
func (p *Pool) Run(ctx context.Context) error {
	defer close(p.stopped)
	var workers sync.WaitGroup
	p.mu.Lock()
	p.start = func() { workers.Go(func() { p.work(ctx) }) }
	p.fill()
	p.mu.Unlock()
	<-ctx.Done()
	p.mu.Lock()
	p.start = nil
	p.mu.Unlock()
	workers.Wait()
	return nil
}

// Settle passes the orders to the workers and waits until each has a committed verdict.
// Only after a nil error may their deliveries be acknowledged. After ErrStopped or ctx's
// error some of the orders may have their verdict, or get it later.
func (p *Pool) Settle(ctx context.Context, orders []order.Order) error {
	return p.hand(ctx, orders, nil)
}

func (p *Pool) hand(ctx context.Context, orders []order.Order, ts traces) error {
	if len(orders) == 0 {
		return nil
	}
	c := &call{done: make(chan struct{}), traces: ts}
	err := p.await(ctx, c, orders)
	c.gone.Store(err != nil)
	return err
}

func (p *Pool) await(ctx context.Context, c *call, orders []order.Order) error {
	c.left.Store(int64(len(orders)))
	for _, o := range orders {
		select {
		case p.queue <- item{o, c}:
		case <-ctx.Done():
			return ctx.Err()
		case <-p.stopped:
			return ErrStopped
		}
	}
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-p.stopped:
		return ErrStopped
	}
}

func (p *Pool) work(ctx context.Context) {
	arrived := make([]item, 0, p.opts.Batch)
	orders := make([]order.Order, 0, p.opts.Batch)
	for {
		items, changed, wanted := p.next(ctx)
		if !wanted {
			return
		}
		probe := len(items) == 1 // of a held sale: it seldom writes anything
		if len(items) == 0 {
			arrived = p.collect(ctx, changed, arrived[:0], len(orders))
			items = p.divert(arrived)
		}
		if len(items) == 0 || !probe && !p.pass(ctx, len(items)) {
			continue // if stopped: what was collected will be delivered again
		}
		orders = orders[:0]
		for _, it := range items {
			orders = append(orders, it.order)
		}
		p.finish(ctx, items, orders)
		clear(arrived)
	}
}

// finish settles a batch. Its callers get the result once it is committed.
func (p *Pool) finish(ctx context.Context, items []item, orders []order.Order) {
	traced, trace := p.trace(ctx, items)
	vs, err := p.settle(traced, orders)
	if err != nil {
		trace.end(nil, err)
		if ctx.Err() == nil {
			p.hold(ctx, items, err)
		}
		return // not acknowledged
	}
	p.release(items)
	p.writeBack(traced, vs, trace)
	trace.end(vs, nil)
	for _, it := range items {
		if it.call.left.Add(-1) == 0 {
			close(it.call.done)
		}
	}
}

// lingerFrom: a worker lingers after a batch of 1/lingerFrom of a full one. At 3,500
// orders a second, which is little for a database, lingering made batches of 35 instead
// of 20 orders, and cost each shopper 10 ms; at 17,000, full batches settle a third more
// (scripts/bench --rows result_p50_ms,settled_256).
const lingerFrom = 3

// collect waits for an order and takes the others that are there, up to a batch. It
// lingers to fill the batch if the one before was large enough, but never with a single
// order. It returns none if changed is closed or ctx is done before there is one.
func (p *Pool) collect(ctx context.Context, changed <-chan struct{}, items []item, before int) []item {
	for len(items) == 0 {
		select {
		case it := <-p.queue:
			items = take(items, it)
		case <-changed:
			return items
		case <-ctx.Done():
			return items
		}
	}
	batch := p.drain.Load().batch
	var linger <-chan time.Time
	for len(items) < batch {
		select {
		case it := <-p.queue:
			items = take(items, it)
			continue
		default:
		}
		if p.opts.Linger == 0 || len(items) == 1 || before < max(2, batch/lingerFrom) {
			break
		}
		if linger == nil {
			t := time.NewTimer(p.opts.Linger)
			defer t.Stop()
			linger = t.C
		}
		select {
		case it := <-p.queue:
			items = take(items, it)
			continue
		case <-linger:
		case <-ctx.Done():
		}
		break
	}
	return items
}

// take adds it to items, unless its caller has returned: the order will be delivered
// again, and would only delay others, most of all under a low drain rate.
func take(items []item, it item) []item {
	if it.call.gone.Load() {
		return items
	}
	return append(items, it)
}

func (p *Pool) settle(ctx context.Context, orders []order.Order) (vs []order.Verdict, err error) {
	p.metrics.begin()
	defer p.metrics.end()
	start := time.Now()
	if err = failpoint.Hit(ctx, failpoint.Merged); err == nil {
		vs, err = p.opts.Orders.Settle(ctx, orders)
	}
	p.metrics.settled(ctx, time.Since(start), len(orders), vs, err)
	return vs, err
}

// writeBackTimeout bounds how long a slow Redis delays a worker.
const writeBackTimeout = time.Second

// writeBack writes the results to Redis. The orders are acknowledged even if it fails:
// the tail of sale_changes brings Redis up to date later.
func (p *Pool) writeBack(ctx context.Context, vs []order.Verdict, trace *batchTrace) {
	ctx, span := telemetry.Start(ctx, "write back", telemetry.Internal)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeBackTimeout)
	defer cancel()
	var read []order.Verdict
	for _, v := range vs {
		if v.Seq == 0 {
			read = append(read, v)
		}
	}
	err := failpoint.Hit(ctx, failpoint.BeforeWriteBack)
	if err == nil {
		err = errors.Join(p.opts.Ledger.Apply(ctx, order.Changes(vs)), p.replay(ctx, read))
	}
	span.End(err)
	if err != nil {
		p.metrics.writeBackFailures.Inc()
		p.opts.Log.WarnContext(ctx, "results left to the tail", "orders", len(vs), "err", err)
	}
	p.metrics.observe(vs, trace)
}

func (p *Pool) replay(ctx context.Context, vs []order.Verdict) error {
	if len(vs) == 0 {
		return nil
	}
	return p.opts.Ledger.Replay(ctx, vs)
}
