package adminhttp

import (
	"context"
	"net/http"
	"time"

	"seckill/admin"
	"seckill/internal/readcache"
)

const (
	// liveFor is how old a live view may be. Consoles ask once a second, and their
	// number must not be that of questions to the servers.
	liveFor = 500 * time.Millisecond
	// liveKept bounds the sales whose view is kept.
	liveKept = 256
)

func newLiveCache(s *admin.Service) *readcache.Cache[admin.LiveView] {
	fresh := func(error) time.Duration { return liveFor }
	return readcache.New(liveKept, fresh, func(ctx context.Context, saleID int64) (admin.LiveView, error) {
		l, err := s.Live(ctx, saleID) // bounds its questions itself
		return admin.ViewLive(l), err
	})
}

func (h *Handler) live(_ http.ResponseWriter, r *http.Request) (any, error) {
	in := queryOf(r, "sale_id")
	id := in.positive("sale_id")
	if in.err != nil {
		return nil, in.err
	}
	return h.liveViews.Get(r.Context(), id)
}
