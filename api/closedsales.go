package api

import (
	"context"
	"errors"
	"time"

	"seckill/internal/ratelimit"
	"seckill/internal/readcache"
	"seckill/order"
)

const (
	closedSalesKept    = 8192
	closedSalesRate    = 50              // reads a second
	closedSalesTimeout = 2 * time.Second // within lookupTimeout: a request may need two reads
)

var errTooManyReads = errors.New("api: too many reads of unknown sales")

// closedSales reads the sales that the local copy no longer has: their orders
// are still polled and listed. It asks MySQL once for a sale that exists, once a
// second for one that does not, and at a bounded rate for all together.
type closedSales = readcache.Cache[order.Sale]

// newClosedSales returns a cache whose Get returns order.ErrNotFound for a sale
// that does not exist; any other error means that MySQL did not answer.
func newClosedSales(orders store) *closedSales {
	rate := ratelimit.New(closedSalesRate, closedSalesRate, 1)
	fresh := func(err error) time.Duration {
		switch {
		case err == nil:
			return readcache.Forever
		case errors.Is(err, order.ErrNotFound):
			return time.Second
		default:
			return 0
		}
	}
	return readcache.New(closedSalesKept, fresh, func(ctx context.Context, id int64) (order.Sale, error) {
		if _, ok := rate.Take(""); !ok {
			return order.Sale{}, errTooManyReads
		}
		ctx, cancel := context.WithTimeout(ctx, closedSalesTimeout)
		defer cancel()
		return orders.Sale(ctx, id)
	})
}
