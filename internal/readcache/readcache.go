// Package readcache shares reads of a store among all who ask for the same
// thing.
package readcache

import (
	"context"
	"strconv"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
)

// Forever is for answers that never change.
const Forever = time.Duration(1<<63 - 1)

// Cache keeps answers by ID, errors included, and reads what it does not have.
// Callers who ask for an ID that is being read wait for that read.
type Cache[V any] struct {
	read   func(ctx context.Context, id int64) (V, error)
	fresh  func(err error) time.Duration
	kept   *lru.Cache[int64, answer[V]]
	errs   *lru.Cache[int64, answer[V]] // apart: made-up IDs must not push out what exists
	flight singleflight.Group
}

type answer[V any] struct {
	value V
	err   error
	at    time.Time
}

// New returns a cache of so many answers, and as many errors; fresh tells how long one may be used, 0
// for not at all. The read must bound its own time: its context does not end
// with the caller that happened to come first.
func New[V any](size int, fresh func(err error) time.Duration, read func(ctx context.Context, id int64) (V, error)) *Cache[V] {
	kept, err := lru.New[int64, answer[V]](size)
	if err != nil {
		panic(err) // the size is not positive
	}
	errs, _ := lru.New[int64, answer[V]](size)
	return &Cache[V]{read: read, fresh: fresh, kept: kept, errs: errs}
}

// Get returns the answer for an ID. All callers get the same value: they must
// not change it.
func (c *Cache[V]) Get(ctx context.Context, id int64) (V, error) {
	if a, ok := c.cached(id); ok {
		return a.value, a.err
	}
	v, _, _ := c.flight.Do(strconv.FormatInt(id, 10), func() (any, error) {
		if a, ok := c.cached(id); ok { // read by another flight since
			return a, nil
		}
		value, err := c.read(context.WithoutCancel(ctx), id)
		a := answer[V]{value, err, time.Now()}
		switch {
		case c.fresh(err) <= 0:
		case err == nil:
			c.kept.Add(id, a)
		default:
			c.errs.Add(id, a)
		}
		return a, nil
	})
	a, _ := v.(answer[V])
	return a.value, a.err
}

func (c *Cache[V]) cached(id int64) (answer[V], bool) {
	a, ok := c.kept.Get(id)
	if !ok {
		a, ok = c.errs.Get(id)
	}
	return a, ok && time.Since(a.at) < c.fresh(a.err)
}
