package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
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
		Long: `Watch a sale, or all that are not closed: stock, backlog, time to result, instances. In a terminal the view is
redrawn every second until Ctrl-C; what sells comes first, and what does not fit the window is counted. Without
a terminal, or with NO_COLOR or TERM=dumb, each update is a line; with --json it is an object, as in
GET /admin/v1/live. Rates are averages over 5 s, of all sales together. A server that does not respond is named,
and the command continues; the exit code is that of the last update.`,
		PreRunE: func(*cobra.Command, []string) error {
			if interval < shortestInterval || count < 0 {
				return &usageError{fmt.Errorf("--interval must be %s or more, and --count 0 or more", shortestInterval)}
			}
			return nil
		},
		RunE: onSale(p.withStores, func(c *cobra.Command, s *admin.Service, id int64) error {
			return p.watch(c.Context(), s, id, interval, count)
		}),
	}
	c.Flags().DurationVar(&interval, "interval", time.Second, "time between two updates")
	c.Flags().IntVar(&count, "count", 0, "end after this many updates; 0: at Ctrl-C")
	return c
}

// watch shows updates until ctx is done or it has shown count of them.
func (p *process) watch(ctx context.Context, s *admin.Service, id int64, interval time.Duration, count int) error {
	view := p.liveView()
	defer view.end()
	next := time.NewTicker(interval)
	defer next.Stop()
	var known []order.Sale // for while MySQL is down
	for updates := 1; ; updates++ {
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
		if err := view.show(admin.ViewLive(l)); err != nil {
			return err
		}
		last := unanswered(l)
		if updates == count {
			return last
		}
		if ended, err := view.wait(ctx, admin.ViewLive(l), next.C); ended {
			return errors.Join(err, last)
		}
	}
}

// unanswered returns the error of an update for which some servers did not
// respond; the update has shown it.
func unanswered(l admin.Live) error {
	if err := errors.Join(l.Away...); err != nil {
		return &silentError{exitDependency}
	}
	return nil
}

// liveView shows updates, depending on what stdout is.
type liveView struct {
	show    func(admin.LiveView) error
	resized <-chan os.Signal // the window has another size; nil if there is no window
	end     func()
}

func (p *process) liveView() liveView {
	if p.json {
		return liveView{show: func(v admin.LiveView) error { return writeJSON(p.stdout, v) }, end: func() {}}
	}
	if t, ok := p.terminal(); ok {
		t.open()
		return liveView{t.draw, t.resized, t.close}
	}
	return liveView{show: func(v admin.LiveView) error {
		_, err := fmt.Fprintln(p.stdout, liveLine(v))
		return err
	}, end: func() {}}
}

// wait waits for the next update, and shows the last one again when the window's size
// changes. It reports whether the watch has ended.
func (l liveView) wait(ctx context.Context, last admin.LiveView, next <-chan time.Time) (ended bool, err error) {
	for {
		select {
		case <-ctx.Done():
			return true, nil
		case <-next:
			return false, nil
		case <-l.resized:
			if err := l.show(last); err != nil {
				return true, err
			}
		}
	}
}
