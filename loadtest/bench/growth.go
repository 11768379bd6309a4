package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"seckill/order"
	"seckill/order/mysql"
)

// growth is one line of the table that must be flat: what an order costs all
// processes together, while one thing is ten times as large.
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

// growing measures the table.
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

// fill has so many others buy before, by the same steps without HTTP and queue.
func (s *sale) fill(ctx context.Context, shoppers int) error {
	store := mysql.NewStore(s.db, slog.New(slog.DiscardHandler))
	worker, err := store.NextWorker(ctx)
	if err != nil {
		return err
	}
	ids := order.NewIDMaker(worker)
	var next atomic.Int64
	errs := make(chan error, 2)
	var wg sync.WaitGroup
	for range cap(errs) {
		wg.Go(func() {
			for {
				n := int(next.Add(1) - 1)
				if n*fillBatch >= shoppers {
					return
				}
				if err := s.fillBatch(ctx, store, ids, s.ids[n%len(s.ids)], n*fillBatch); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	s.filled = int64((shoppers + fillBatch - 1) / fillBatch * fillBatch)
	for e := range errs {
		err = errors.Join(err, e)
	}
	return err
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
	rs, err := s.ledger.Reserve(ctx, saleID, batch)
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
