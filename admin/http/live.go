package adminhttp

import (
	"context"
	"net/http"
	"time"

	"seckill/admin"
	"seckill/internal/readcache"
	"seckill/order"
)

const (
	// liveFor is how old a live view may be. Consoles ask once a second, and their
	// number must not be that of questions to the servers.
	liveFor = 500 * time.Millisecond
	// liveKept bounds the sales whose view is kept.
	liveKept = 256
)

// liveCache keeps views by the name of their sale; that of all sales by none.
type liveCache = readcache.Cache[order.SaleName, admin.LiveView]

func newLiveCache(s *admin.Service) *liveCache {
	fresh := func(error) time.Duration { return liveFor }
	return readcache.New(liveKept, fresh, func(ctx context.Context, sale order.SaleName) (v admin.LiveView, err error) {
		var id int64
		if sale != (order.SaleName{}) {
			if id, err = s.SaleID(ctx, sale); err != nil {
				return v, err
			}
		}
		l, err := s.Live(ctx, id) // bounds its questions itself
		return admin.ViewLive(l), err
	})
}

func (h *Handler) live(_ http.ResponseWriter, r *http.Request) (any, error) {
	in := queryOf(r, "sale_id")
	sale := in.saleName("sale_id")
	if in.err != nil {
		return nil, in.err
	}
	return h.liveViews.Get(r.Context(), sale)
}
