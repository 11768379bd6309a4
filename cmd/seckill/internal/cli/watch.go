package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"seckill/admin"
	"seckill/order"
)

// shortestInterval keeps a watch from becoming a load on MySQL and Redis.
const shortestInterval = 100 * time.Millisecond

func newSaleWatch(p *process) *cobra.Command {
	var interval time.Duration
	var count int
	c := &cobra.Command{
		Use: "watch [SALE]", Short: "Watch a sale, or all that are not closed, while they sell", Args: cobra.MaximumNArgs(1),
		Long: `Watch a sale, or all that are not closed: stock, backlog, time to result, instances. In a terminal the view
is drawn anew every second until Ctrl-C; elsewhere, with NO_COLOR or TERM=dumb, it is a line a look; with
--json an object a line, that of GET /admin/v1/live. Rates are over 5 s and of all sales together. A server
that does not answer is named, and ends nothing; the exit code is that of the last look.`,
		RunE: func(c *cobra.Command, args []string) (err error) {
			var id int64
			if len(args) == 1 {
				if id, err = saleArg(args); err != nil {
					return err
				}
			}
			if interval < shortestInterval || count < 0 {
				return &usageError{fmt.Errorf("--interval wants %s or more, --count a number from 0 on", shortestInterval)}
			}
			return p.withStores(func(s *admin.Service) error {
				return p.watch(c.Context(), s, id, interval, count)
			})
		},
	}
	c.Flags().DurationVar(&interval, "interval", time.Second, "between two looks")
	c.Flags().IntVar(&count, "count", 0, "end after so many looks; 0: at Ctrl-C")
	return c
}

// watch looks again and again, until ctx is done or it has looked count times.
func (p *process) watch(ctx context.Context, s *admin.Service, id int64, interval time.Duration, count int) error {
	show, end := p.liveView()
	defer end()
	next := time.NewTicker(interval)
	defer next.Stop()
	var known []order.Sale // for when MySQL is away
	for looks := 1; ; looks++ {
		l, err := s.Live(ctx, id, known...)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return ofSale(id, err)
		}
		known = known[:0]
		for _, sale := range l.Sales {
			known = append(known, sale.Sale)
		}
		if err := show(admin.ViewLive(l)); err != nil {
			return err
		}
		last := unanswered(l)
		if looks == count {
			return last
		}
		select {
		case <-ctx.Done():
			return last
		case <-next.C:
		}
	}
}

// unanswered is the error of a look at servers of which some are away; it has
// been shown.
func unanswered(l admin.Live) error {
	if err := errors.Join(l.Away...); err != nil {
		return &silentError{exitDependency}
	}
	return nil
}

// liveView returns what shows a look, by what stdout is, and what ends it.
func (p *process) liveView() (show func(admin.LiveView) error, end func()) {
	if p.json {
		return func(v admin.LiveView) error { return writeJSON(p.stdout, v) }, func() {}
	}
	if t, ok := p.terminal(); ok {
		t.open()
		return t.draw, t.close
	}
	return func(v admin.LiveView) error {
		_, err := fmt.Fprintln(p.stdout, liveLine(v))
		return err
	}, func() {}
}
