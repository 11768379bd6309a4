//go:build e2e

package test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"seckill/event"
	"seckill/order"
	"seckill/queue"
	"seckill/queue/rocketmq"
)

// eventConsumer is another system of the shop: it consumes the order events under a
// group of its own, and knows an order by the event with the highest sequence.
type eventConsumer struct {
	db     *sql.DB // to compare with
	schema *jsonschema.Schema

	mu       sync.Mutex
	last     map[string]event.Event // by order ID
	bodies   map[string]string      // by event ID
	repeated int
	broken   []breach
}

// listen has an event consumer receive the shop's events until the test ends.
func (s *shop) listen() *eventConsumer {
	s.t.Helper()
	opts := s.rocketmq()
	opts.Topic, opts.Group = s.setting("SECKILL_ROCKETMQ_EVENT_TOPIC"), s.setting("SECKILL_ROCKETMQ_EVENT_TOPIC")+"_outside"
	e := &eventConsumer{db: s.db, schema: eventSchema(s.t), last: map[string]event.Event{}, bodies: map[string]string{}}
	sub, err := rocketmq.NewSubscriber(opts, rocketmq.SubscriberOptions{Handle: e.hear})
	require.NoError(s.t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- sub.Run(ctx) }()
	s.t.Cleanup(func() {
		stop()
		require.NoError(s.t, <-done)
	})
	return e
}

func eventSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(event.Schema))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	require.NoError(t, c.AddResource("urn:seckill:order-event:1", doc))
	schema, err := c.Compile("urn:seckill:order-event:1")
	require.NoError(t, err)
	return schema
}

func (e *eventConsumer) hear(_ context.Context, batch []queue.Message) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, m := range batch {
		if err := e.take(m); err != nil {
			e.broken = append(e.broken, breach{"lost", fmt.Sprintf("message %s is no event: %v: %s", m.ID, err, m.Body)})
		}
	}
	return nil
}

func (e *eventConsumer) take(m queue.Message) error {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(m.Body))
	if err == nil {
		err = e.schema.Validate(doc)
	}
	if err != nil {
		return err
	}
	ev, err := event.Parse(m.Body)
	if err == nil && ev.ID != m.ID {
		err = fmt.Errorf("its ID is %s", ev.ID)
	}
	if before, again := e.bodies[ev.ID]; again {
		e.repeated++
		if before != string(m.Body) {
			err = fmt.Errorf("it was %s", before)
		}
	}
	e.bodies[ev.ID] = string(m.Body)
	if ev.Data.Sequence > e.last[ev.Subject].Data.Sequence {
		e.last[ev.Subject] = ev
	}
	return err
}

// breaches holds what was heard of a sale against its rows and its log: each
// order must be known as it is, and each change of one must have been heard.
func (e *eventConsumer) breaches(ctx context.Context, sale string) ([]breach, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	found := append([]breach(nil), e.broken...)
	note := func(format string, args ...any) {
		found = append(found, breach{"lost", "events of sale " + sale + ": " + fmt.Sprintf(format, args...)})
	}
	rows, err := e.compareRows(ctx, sale, note)
	if err != nil {
		return nil, err
	}
	for _, ev := range e.last {
		if ev.Data.SaleID == sale && !rows[ev.Subject] {
			note("order %s has no row", ev.Subject)
		}
	}
	return found, e.compareLog(ctx, sale, note)
}

// compareRows returns the orders that there are.
func (e *eventConsumer) compareRows(ctx context.Context, sale string, note func(string, ...any)) (map[string]bool, error) {
	rs, err := e.db.QueryContext(ctx, `SELECT id, shopper_id, status, reason, quantity, quantity * unit_price, reference FROM orders WHERE sale_id = ?`, sale)
	if err != nil {
		return nil, err
	}
	defer rs.Close()
	rows := map[string]bool{}
	for rs.Next() {
		var id string
		var want event.Data
		if err := rs.Scan(&id, &want.ShopperID, &want.Status, &want.Reason, &want.Quantity, &want.AmountMinor, &want.Reference); err != nil {
			return nil, err
		}
		rows[id] = true
		if is, heard := told(want), told(e.last[id].Data); heard != is {
			note("order %s is %s, and was heard as %s", id, is, heard)
		}
	}
	return rows, rs.Err()
}

// told is what a row and an event say alike.
func told(d event.Data) string {
	return fmt.Sprintf("%s %s of %s (%d, %d minor, %q)", d.Status, d.Reason, d.ShopperID, d.Quantity, d.AmountMinor, d.Reference)
}

func (e *eventConsumer) compareLog(ctx context.Context, sale string, note func(string, ...any)) error {
	rs, err := e.db.QueryContext(ctx, `SELECT sale_id, seq, changes FROM sale_changes WHERE sale_id = ? ORDER BY seq`, sale)
	if err != nil {
		return err
	}
	defer rs.Close()
	due := map[string]bool{}
	for rs.Next() {
		var id int64
		var seq uint64
		var body []byte
		if err := rs.Scan(&id, &seq, &body); err != nil {
			return err
		}
		c, err := order.DecodeChange(id, seq, body)
		if err != nil {
			return err
		}
		for _, v := range c.Verdicts { // a change may decide two orders of one ID: the second is a collision
			name := fmt.Sprintf("%d-%d-%d", id, seq, v.ID)
			due[name] = due[name] || v.Reason != order.ReasonCollision
		}
	}
	for name, is := range due {
		if _, heard := e.bodies[name]; heard != is {
			note("%s: due %t, heard %t", name, is, heard)
		}
	}
	return rs.Err()
}

// heardAll waits until nothing is missing of these sales.
func (e *eventConsumer) heardAll(t *testing.T, within time.Duration, sales ...string) {
	t.Helper()
	var found []breach
	for until := time.Now().Add(within); ; time.Sleep(200 * time.Millisecond) {
		found = nil
		for _, sale := range sales {
			some, err := e.breaches(t.Context(), sale)
			require.NoError(t, err)
			found = append(found, some...)
		}
		if len(found) == 0 {
			return
		}
		if time.Now().After(until) {
			require.Empty(t, found[:min(len(found), 10)], "%d in all", len(found))
		}
	}
}
