// Package readcache shares reads of a store among all who ask for the same
// thing.
package readcache

import (
	"context"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
)

// Forever is for answers that never change.
const Forever = time.Duration(1<<63 - 1)

// Cache keeps answers by key, errors included, and reads what it does not have.
// Callers who ask for a key that is being read wait for that read. Two keys that
// fmt.Sprint writes alike share a read.
type Cache[K comparable, V any] struct {
	read   func(ctx context.Context, key K) (V, error)
	fresh  func(err error) time.Duration
	kept   *lru.Cache[K, answer[V]]
	errs   *lru.Cache[K, answer[V]] // apart: made-up keys must not push out what exists
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
func New[K comparable, V any](size int, fresh func(err error) time.Duration, read func(ctx context.Context, key K) (V, error)) *Cache[K, V] {
	kept, err := lru.New[K, answer[V]](size)
	if err != nil {
		panic(err) // the size is not positive
	}
	errs, _ := lru.New[K, answer[V]](size)
	return &Cache[K, V]{read: read, fresh: fresh, kept: kept, errs: errs}
}

// Get returns the answer for a key. All callers get the same value: they must
// not change it.
func (c *Cache[K, V]) Get(ctx context.Context, key K) (V, error) {
	if a, ok := c.cached(key); ok {
		return a.value, a.err
	}
	v, _, _ := c.flight.Do(fmt.Sprint(key), func() (any, error) {
		if a, ok := c.cached(key); ok { // read by another flight since
			return a, nil
		}
		value, err := c.read(context.WithoutCancel(ctx), key)
		a := answer[V]{value, err, time.Now()}
		switch {
		case c.fresh(err) <= 0:
		case err == nil:
			c.kept.Add(key, a)
		default:
			c.errs.Add(key, a)
		}
		return a, nil
	})
	a, _ := v.(answer[V])
	return a.value, a.err
}

func (c *Cache[K, V]) cached(key K) (answer[V], bool) {
	a, ok := c.kept.Get(key)
	if !ok {
		a, ok = c.errs.Get(key)
	}
	return a, ok && time.Since(a.at) < c.fresh(a.err)
}
