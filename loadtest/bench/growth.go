package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"seckill/order"
	"seckill/order/mysql"
	"seckill/stock"
)

// growth is a line of the table that must be flat: the cost of an order in all
// processes together while one dimension is ten times as large.
type growth struct {
	What     string  `json:"what"`
	Stock    int     `json:"stock"`
	Shoppers int     `json:"shoppers_before"`
	Sales    int     `json:"sales"`
	Orders   float64 `json:"orders"`
	Rate     float64 `json:"orders_per_second"`
	CPU      float64 `json:"cpu_us_per_order"`
}

const (
	grownStock    = 1_000_000
	grownShoppers = 20_000
)

// growing measures the growth table.
func (b *bench) growing(ctx context.Context) ([]growth, error) {
	if err := b.ready(ctx, b.fast); err != nil {
		return nil, err
	}
	defer b.lasting(3 * time.Second)()
	table := []growth{
		{What: "base", Stock: grownStock, Shoppers: grownShoppers, Sales: 1},
		{What: "stock x 10", Stock: 10 * grownStock, Shoppers: grownShoppers, Sales: 1},
		{What: "shoppers x 10", Stock: grownStock, Shoppers: 10 * grownShoppers, Sales: 1},
		{What: "sales x 10", Stock: grownStock, Shoppers: grownShoppers, Sales: 10},
		{What: "base again", Stock: grownStock, Shoppers: grownShoppers, Sales: 1},
	}
	for i := range table {
		if err := b.grow(ctx, &table[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", table[i].What, err)
		}
	}
	return table, nil
}

func (b *bench) grow(ctx context.Context, g *growth) error {
	sl, err := b.fast.open(ctx, g.Stock, g.Sales)
	if err != nil {
		return err
	}
	if err := sl.fill(ctx, g.Shoppers); err != nil {
		return err
	}
	s, err := b.settle(ctx, target{conns: 256}, sl)
	if err != nil {
		return err
	}
	g.Orders, g.Rate = s.units, s.rate
	for name, us := range s.cpuPerUnit() {
		if name != "wrk" && name != "bench" {
			g.CPU += us
		}
	}
	return sl.check(ctx)
}

// fill makes so many shoppers buy beforehand, by the same steps without HTTP and
// queue.
func (s *sale) fill(ctx context.Context, shoppers int) error {
	store := mysql.NewStore(s.db, slog.New(slog.DiscardHandler))
	node, err := store.NextNodeID(ctx)
	if err != nil {
		return err
	}
	ids := order.NewIDMaker(node)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(2)
	for from := 0; from < shoppers; from += fillBatch {
		g.Go(func() error { return s.fillBatch(ctx, store, ids, s.ids[from/fillBatch%len(s.ids)], from) })
		s.filled += fillBatch
	}
	return g.Wait()
}

const fillBatch = 100

func (s *sale) fillBatch(ctx context.Context, store *mysql.Store, ids *order.IDMaker, saleID int64, from int) error {
	batch := make([]order.Order, fillBatch)
	for i := range batch {
		id, err := ids.Next()
		if err != nil {
			return err
		}
		batch[i] = order.Order{ID: id, SaleID: saleID, ShopperID: fmt.Sprintf("before%d", from+i), Quantity: 1}
	}
	rs, err := s.ledger.Reserve(ctx, saleID, stock.Purchases(batch...))
	if err != nil {
		return err
	}
	for _, r := range rs {
		if r.Err != nil {
			return fmt.Errorf("fill: %w", r.Err)
		}
	}
	vs, err := store.Settle(ctx, batch)
	if err != nil {
		return err
	}
	return s.ledger.Apply(ctx, order.Changes(vs))
}

// memory is the memory that orders and overload take.
type memory struct {
	Orders  int64   `json:"orders"`
	Pending float64 `json:"redis_bytes_per_pending_order"`
	Settled float64 `json:"redis_bytes_per_settled_order"`
	// Peak memory of a process in MB, under full load and with ten times as many
	// connections.
	Full     map[string]float64 `json:"rss_mb_256_connections"`
	Overload map[string]float64 `json:"rss_mb_2560_connections"`
}

// remembering measures the memory of Redis with a backlog and without, then that of the
// processes.
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

// bytesPer asks Redis for the size of the sale, with every element. Entries leave the
// list of due orders when the sweeper scans it: they belong to pending orders.
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

// residents is the peak memory of API and consumer under a load.
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
			held, err := processStat(pid)
			if err != nil {
				return nil, err
			}
			most[name] = max(most[name], float64(held.ResidentMemory())/(1<<20))
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
