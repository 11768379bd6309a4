package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// memory is what orders and overload cost in bytes.
type memory struct {
	Orders  int64   `json:"orders"`
	Pending float64 `json:"redis_bytes_per_pending_order"`
	Settled float64 `json:"redis_bytes_per_settled_order"`
	// The most that a process held, in MB, under a load that is all it can take,
	// and with ten times as many connections.
	Full     map[string]float64 `json:"rss_mb_256_connections"`
	Overload map[string]float64 `json:"rss_mb_2560_connections"`
}

// remembering measures Redis with a backlog and without, then the processes.
func (b *bench) remembering(ctx context.Context) (*memory, error) {
	s := b.fast
	if err := s.consume(ctx, false); err != nil {
		return nil, err
	}
	sl, err := s.open(ctx, plenty, 1)
	if err != nil {
		return nil, err
	}
	g, err := b.wrk(ctx, s.url, 256, 3*time.Second, sl.names()...)
	if err != nil {
		return nil, err
	}
	if _, err := g.wait(); err != nil {
		return nil, err
	}
	var m memory
	if m.Orders, err = sl.sold(ctx); err != nil {
		return nil, err
	}
	if m.Pending, err = sl.bytesPer(ctx, m.Orders); err != nil {
		return nil, err
	}
	if err := s.consume(ctx, true); err != nil {
		return nil, err
	}
	if _, err := sl.settled(ctx); err != nil {
		return nil, err
	}
	if m.Settled, err = sl.bytesPer(ctx, m.Orders); err != nil {
		return nil, err
	}
	if err := sl.check(ctx); err != nil {
		return nil, err
	}
	if m.Full, err = b.residents(ctx, 256); err != nil {
		return nil, err
	}
	m.Overload, err = b.residents(ctx, 2560)
	return &m, err
}

// bytesPer asks Redis for the size of the sale, every element counted. What is
// due leaves its list when the sweeper passes: it belongs to pending orders.
func (s *sale) bytesPer(ctx context.Context, orders int64) (float64, error) {
	var sum int64
	for _, key := range []string{"m", "o", "d", "u"} {
		name := fmt.Sprintf("seckill:{%d}:%s", s.ids[0], key)
		if n, err := s.srv.rdb.Exists(ctx, name).Result(); err != nil || n == 0 {
			if err != nil {
				return 0, err
			}
			continue
		}
		n, err := s.srv.rdb.MemoryUsage(ctx, name, 0).Result()
		if err != nil {
			return 0, fmt.Errorf("size of %s: %w", name, err)
		}
		sum += n
	}
	return float64(sum) / float64(max(1, orders)), nil
}

// residents is the most memory that API and consumer hold under a load.
func (b *bench) residents(ctx context.Context, conns int) (map[string]float64, error) {
	sl, err := b.fast.open(ctx, plenty, 1)
	if err != nil {
		return nil, err
	}
	g, err := b.wrk(ctx, b.fast.url, conns, b.seconds, sl.names()...)
	if err != nil {
		return nil, err
	}
	most := map[string]float64{}
	for running := true; running; {
		for name, pid := range map[string]int{"api": b.fast.api.pid, "consumer": b.fast.consumer.pid} {
			most[name] = max(most[name], float64(resident(pid))/(1<<20))
		}
		select {
		case <-g.done:
			running = false
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if _, err := g.wait(); err != nil {
		return nil, err
	}
	return most, sl.check(ctx)
}

// resident is the memory a process holds, in bytes; 0 when it has ended.
func resident(pid int) int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	f := strings.Fields(string(text))
	if len(f) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(f[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
