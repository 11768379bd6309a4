// Package lookup reads orders by ID for many callers with few statements.
package lookup

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"seckill/internal/batching"
	"seckill/order"
)

// ErrClosed is the error of a Reader that was closed.
var ErrClosed = errors.New("lookup: closed")

const (
	lookupBatch   = 128             // IDs in one read
	lookupReads   = 2               // reads at a time
	lookupQueue   = 1024            // callers that wait for a read to take them
	lookupTimeout = 5 * time.Second // of one read, which many callers share
	lookupCache   = 16384           // records, about 4 MB
	lookupTTL     = time.Second
)

// Reader reads orders by ID for many callers with few connections: the IDs that
// are asked for during a read go into the next one. Records that cannot change
// any more are kept for a second.
type Reader struct {
	find     func(context.Context, []order.ID) ([]order.Record, error)
	requests chan *request
	cache    *lru.Cache[order.ID, kept]
	closed   <-chan struct{}
	close    context.CancelFunc // and ends the reads under way
	readers  sync.WaitGroup
}

type request struct {
	id     order.ID
	record order.Record
	err    error
	done   chan struct{}
}

type kept struct {
	record order.Record
	until  time.Time
}

// New returns a Reader on find, which is the Find of a store. Close ends it.
func New(find func(context.Context, []order.ID) ([]order.Record, error)) *Reader {
	cache, err := lru.New[order.ID, kept](lookupCache)
	if err != nil {
		panic(err) // the size is not positive
	}
	l := &Reader{find: find, requests: make(chan *request, lookupQueue), cache: cache}
	ctx, cancel := context.WithCancel(context.Background())
	l.closed, l.close = ctx.Done(), cancel
	for range lookupReads {
		l.readers.Go(func() { l.read(ctx) })
	}
	return l
}

// Close ends the reads under way and waits for them. Callers get ErrClosed.
func (l *Reader) Close() {
	l.close()
	l.readers.Wait()
}

// Get returns an order's row, or ErrNotFound when there is none. Any other
// error says nothing about the order.
func (l *Reader) Get(ctx context.Context, id order.ID) (order.Record, error) {
	if k, ok := l.cache.Get(id); ok && time.Now().Before(k.until) {
		return k.record, nil
	}
	r := &request{id: id, done: make(chan struct{})}
	select {
	case l.requests <- r:
	case <-ctx.Done():
		return order.Record{}, ctx.Err()
	case <-l.closed:
		return order.Record{}, ErrClosed
	}
	select {
	case <-r.done:
		return r.record, r.err
	case <-ctx.Done():
		return order.Record{}, ctx.Err()
	case <-l.closed:
		return order.Record{}, ErrClosed
	}
}

// read is one reader, until ctx is done.
func (l *Reader) read(ctx context.Context) {
	for {
		select {
		case first := <-l.requests:
			l.answer(ctx, slices.AppendSeq([]*request{first}, batching.Waiting(l.requests, lookupBatch-1)))
		case <-ctx.Done():
			return
		}
	}
}

func (l *Reader) answer(ctx context.Context, batch []*request) {
	ids := make([]order.ID, 0, len(batch))
	wanted := make(map[order.ID]order.Record, len(batch))
	for _, r := range batch {
		if _, ok := wanted[r.id]; !ok {
			wanted[r.id] = order.Record{}
			ids = append(ids, r.id)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	found, err := l.find(ctx, ids)
	for _, record := range found {
		wanted[record.ID] = record
		if record.Status.Final() {
			l.cache.Add(record.ID, kept{record, time.Now().Add(lookupTTL)})
		}
	}
	for _, r := range batch {
		r.record, r.err = wanted[r.id], err
		if err == nil && r.record.ID == 0 {
			r.err = order.ErrNotFound
		}
		close(r.done)
	}
}
