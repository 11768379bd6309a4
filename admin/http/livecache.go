package adminhttp

import (
	"context"
	"strconv"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"seckill/admin"
)

const (
	// glanceHolds is how old an answer to who watches may be. Consoles ask once a
	// second, any number of them.
	glanceHolds = 500 * time.Millisecond
	// glancesKept bounds the sales of which an answer is kept.
	glancesKept = 256
)

// glances share looks at live sales among all who watch: whatever their number,
// the servers are asked once in glanceHolds for a sale.
type liveCache struct {
	look   func(ctx context.Context, saleID int64) (admin.Live, error)
	kept   *lru.Cache[int64, cachedLive]
	flight singleflight.Group
}

// glance is the answer to all who ask for it; nobody changes it.
type cachedLive struct {
	at   time.Time
	view admin.LiveView
	err  error
}

func newLiveCache(look func(ctx context.Context, saleID int64) (admin.Live, error)) *liveCache {
	kept, _ := lru.New[int64, cachedLive](glancesKept) // fails for a size below 1 only
	return &liveCache{look: look, kept: kept}
}

// get is ViewLive of Service.Live, at most glanceHolds old.
func (g *liveCache) get(ctx context.Context, saleID int64) (admin.LiveView, error) {
	if seen, ok := g.fresh(saleID); ok {
		return seen.view, seen.err
	}
	v, _, _ := g.flight.Do(strconv.FormatInt(saleID, 10), func() (any, error) {
		if seen, ok := g.fresh(saleID); ok { // another one has looked in between
			return seen, nil
		}
		// For all who wait for it, so not cut short by the first one's leaving. Each
		// question to a server is bounded.
		l, err := g.look(context.WithoutCancel(ctx), saleID)
		seen := cachedLive{at: time.Now(), view: admin.ViewLive(l), err: err}
		g.kept.Add(saleID, seen)
		return seen, nil
	})
	seen, _ := v.(cachedLive)
	return seen.view, seen.err
}

func (g *liveCache) fresh(saleID int64) (cachedLive, bool) {
	seen, ok := g.kept.Get(saleID)
	return seen, ok && time.Since(seen.at) < glanceHolds
}
