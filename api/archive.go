package api

import (
	"context"
	"errors"
	"strconv"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"seckill/internal/ratelimit"
	"seckill/order"
)

// archive reads sales that the local copy no longer has: closed ones, whose
// orders are still polled and listed. It asks MySQL once for a sale that
// exists; for one that does not, once per second and ID, and for all of them
// together at a bounded rate.
type archive struct {
	orders store
	found  *lru.Cache[int64, order.Sale]
	absent *lru.Cache[int64, time.Time] // when it was not found
	flight singleflight.Group
	rate   *ratelimit.Limiter
}

const (
	archiveSize  = 4096
	archiveLooks = 50              // a second
	archiveLimit = 2 * time.Second // a poll may come by twice
)

var errArchiveBusy = errors.New("api: too many looks for sales")

func newArchive(orders store) *archive {
	a := &archive{orders: orders, rate: ratelimit.New(archiveLooks, archiveLooks)}
	a.found, _ = lru.New[int64, order.Sale](archiveSize) // fails for a size below 1 only
	a.absent, _ = lru.New[int64, time.Time](archiveSize)
	return a
}

// get returns the sale or order.ErrNotFound; any other error says that MySQL
// could not be asked.
func (a *archive) get(ctx context.Context, id int64) (order.Sale, error) {
	if sale, ok := a.found.Get(id); ok {
		return sale, nil
	}
	if at, ok := a.absent.Get(id); ok && time.Since(at) < time.Second {
		return order.Sale{}, order.ErrNotFound
	}
	v, err, _ := a.flight.Do(strconv.FormatInt(id, 10), func() (any, error) {
		if _, ok := a.rate.Take(""); !ok {
			return order.Sale{}, errArchiveBusy
		}
		// For all who wait for it, so not cut short by the first one's leaving.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), archiveLimit)
		defer cancel()
		sale, err := a.orders.Sale(ctx, id)
		switch {
		case err == nil:
			a.found.Add(id, sale)
		case errors.Is(err, order.ErrNotFound):
			a.absent.Add(id, time.Now())
		}
		return sale, err
	})
	sale, _ := v.(order.Sale)
	return sale, err
}
