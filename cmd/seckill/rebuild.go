package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"seckill/order"
	"seckill/stock"
)

func newRebuild(p *process) *cobra.Command {
	return &cobra.Command{
		Use:   "rebuild SALE",
		Short: "Load a sale into Redis anew from MySQL, for what the audit cannot heal",
		Long: `Take the sale out of Redis and load it anew from MySQL, with all its live orders. It asks nothing.
Purchases of this sale are refused meanwhile, a few seconds; no order is lost: those that were pending
get their verdict first. A Redis that was wiped needs no rebuild, the consumers load its sales by themselves.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := saleArg(args)
			if err != nil {
				return err
			}
			return p.withOperator(func(o *operator) error { return p.rebuild(c.Context(), o, id) })
		},
	}
}

// rebuildView is what `rebuild --json` says it did.
type rebuildView struct {
	ID        int64  `json:"id,string"`
	WasLoaded bool   `json:"was_loaded"`
	Settled   int    `json:"settled_first"` // orders that were pending in Redis
	Total     int64  `json:"total"`
	Available int64  `json:"available"`
	Live      int64  `json:"live_units"`
	Epoch     uint64 `json:"epoch"`
	TookMS    int64  `json:"took_ms"`
}

func (p *process) rebuild(ctx context.Context, o *operator, id int64) error {
	fmt.Fprintf(p.stderr, "sale %d: taken out of Redis and loaded from MySQL, this may take some seconds\n", id)
	start := time.Now()
	done, err := o.service.Rebuild(ctx, thisCall(), id)
	var ms []stock.Meta
	if err == nil {
		ms, err = o.ledger.Metas(ctx, []int64{id})
	}
	switch {
	case errors.Is(err, order.ErrNotFound), errors.Is(err, order.ErrConflict):
		return ofSale(id, err)
	case err != nil:
		return &dependencyError{"rebuild", fmt.Errorf("%w (run it again; a sale that is open or paused is loaded by the consumers too)", err)}
	}
	m := ms[0]
	view := rebuildView{id, done.WasLoaded, done.Settled, m.Total, m.Available, m.Settled, m.Epoch, time.Since(start).Milliseconds()}
	if p.json {
		return writeJSON(p.stdout, view)
	}
	was := ""
	if !view.WasLoaded {
		was = "it was not in Redis; "
	}
	_, err = fmt.Fprintf(p.stdout, "sale %d rebuilt in %d ms: %s%d pending orders settled first; %d units, %d available, %d in live orders (epoch %d)\n",
		id, view.TookMS, was, view.Settled, view.Total, view.Available, view.Live, view.Epoch)
	return err
}
