package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"seckill/admin"
	"seckill/cmd/seckill/internal/app"
	"seckill/event"
	"seckill/order"
	"seckill/queue"
)

func newEvents(p *process) *cobra.Command {
	return group("events", "Read the order events that other systems get", newEventsTail(p), &cobra.Command{
		Use: "schema [order | refund]", Short: "Print the JSON schema of the events of orders, or of payments to be refunded",
		Args: cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs), ValidArgs: []string{"order", "refund"},
		RunE: func(_ *cobra.Command, args []string) error {
			schema := event.Schema
			if len(args) == 1 && args[0] == "refund" {
				schema = event.RefundSchema
			}
			_, err := p.stdout.Write(schema)
			return err
		},
	})
}

// tail selects what `events tail` shows.
type tail struct {
	sale      int64
	limit     int
	fromStart bool
}

func newEventsTail(p *process) *cobra.Command {
	var t tail
	var sale saleFlag
	c := &cobra.Command{
		Use: "tail", Short: "Show order events as they are published, until interrupted", Args: cobra.NoArgs,
		Long: `Show order events as they are published, until interrupted. It joins no consumer group, so it does not disturb
other readers. With --json each line is an event as it is in the topic, without line breaks; see docs/events.md.`,
		RunE: func(c *cobra.Command, _ []string) error {
			if t.limit < 0 {
				return &usageError{errors.New("--limit is a positive number")}
			}
			// An event has the sale's ID: to follow it, no database is needed.
			if t.sale = sale.name.ID; t.sale == 0 && sale.name.External != "" {
				err := p.withMySQL(func(s *admin.Service) (err error) {
					t.sale, err = sale.id(c.Context(), s)
					return err
				})
				if err != nil {
					return err
				}
			}
			cfg, err := p.settings("rocketmq_nameservers")
			if err != nil {
				return err
			}
			r, err := app.NewEventReader(cfg.RocketMQ, p.logger(cfg))
			if err != nil {
				return err
			}
			return p.tailEvents(c.Context(), r, t)
		},
	}
	c.Flags().Var(&sale, "sale", "only events of this sale; a number is its ID, and ext:NAME needs MySQL")
	c.Flags().IntVar(&t.limit, "limit", 0, "end after this many events; 0: never")
	c.Flags().BoolVar(&t.fromStart, "from-start", false, "begin with the oldest event that the broker has")
	return c
}

type eventReader interface {
	Read(ctx context.Context, fromStart bool, handle func([]queue.Message) error) error
}

// errEnough ends a tail that has shown as many events as it should.
var errEnough = errors.New("enough")

func (p *process) tailEvents(ctx context.Context, r eventReader, t tail) error {
	shown := 0
	var stopped error
	err := r.Read(ctx, t.fromStart, func(ms []queue.Message) error {
		for _, m := range ms {
			var ok bool
			if ok, stopped = p.showEvent(m, t.sale); ok {
				shown++
			}
			if stopped == nil && t.limit > 0 && shown == t.limit {
				stopped = errEnough
			}
			if stopped != nil {
				return stopped
			}
		}
		return nil
	})
	switch {
	case errors.Is(stopped, errEnough), errors.Is(stopped, syscall.EPIPE): // the reader of the output has ended
		return nil
	case stopped != nil:
		return stopped
	case err != nil:
		return &dependencyError{"rocketmq", err}
	default:
		return nil
	}
}

// showEvent prints a message, unless it belongs to another sale.
func (p *process) showEvent(m queue.Message, sale int64) (shown bool, err error) {
	e, err := event.Parse(m.Body)
	if err != nil { // not one of our events
		fmt.Fprintf(p.stderr, "message %s: %v\n", admin.Printable(m.ID), err)
		return false, nil
	}
	if sale != 0 && e.Data.SaleID != strconv.FormatInt(sale, 10) {
		return false, nil
	}
	if p.json {
		var line bytes.Buffer
		if err := json.Compact(&line, m.Body); err != nil {
			return false, err // Parse has read it
		}
		_, err = fmt.Fprintf(p.stdout, "%s\n", line.Bytes())
		return err == nil, err
	}
	_, err = fmt.Fprintln(p.stdout, eventLine(e))
	return err == nil, err
}

// eventLine formats an event for people. Anybody with access to the topic may have
// written it, so no text of it is printed unescaped.
func eventLine(e event.Event) string {
	d, safe := e.Data, admin.Printable
	if pay := d.Payment; pay != nil {
		return strings.Join([]string{
			safe(e.Time), "refund   ", "order " + safe(d.OrderID), "sale " + safe(d.SaleID), fmt.Sprintf("#%d", d.Sequence), "shopper " + safe(d.ShopperID),
			fmt.Sprintf("%d %s", pay.AmountMinor, safe(pay.Currency)), safe(string(pay.Reason)), "payment " + safe(pay.EventID),
		}, "  ")
	}
	return strings.TrimRight(strings.Join([]string{
		safe(e.Time), fmt.Sprintf("%-9s", safe(string(d.Status))), "order " + safe(d.OrderID), "sale " + safe(d.SaleID), fmt.Sprintf("#%d", d.Sequence),
		"shopper " + safe(d.ShopperID), fmt.Sprintf("%d x %s", d.Quantity, dash(safe(d.SKU))),
		fmt.Sprintf("%s (%d)", order.Money(d.AmountMinor, safe(d.Currency)), d.AmountMinor), safe(string(d.Reason)), safe(d.Reference),
	}, "  "), " ")
}
