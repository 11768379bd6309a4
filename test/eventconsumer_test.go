//go:build e2e

package test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"seckill/event"
	"seckill/queue"
	"seckill/queue/rocketmq"
	"seckill/test/promise"
)

// eventConsumer is another system of the shop. It consumes the order events under a
// group of its own, and keeps of each order the event with the highest sequence.
type eventConsumer struct {
	shop   *shop // to compare with
	schema *jsonschema.Schema

	mu       sync.Mutex
	reader   promise.Reader
	repeated int
	broken   []breach
}

// listen has an event consumer receive the shop's events until the test ends.
func (s *shop) listen() *eventConsumer {
	s.t.Helper()
	opts := s.rocketmq()
	opts.Topic, opts.Group = s.setting("SECKILL_ROCKETMQ_EVENT_TOPIC"), s.setting("SECKILL_ROCKETMQ_EVENT_TOPIC")+"_outside"
	e := &eventConsumer{shop: s, schema: eventSchema(s.t), reader: promise.NewReader()}
	sub, err := rocketmq.NewSubscriber(opts, rocketmq.SubscriberOptions{Handle: e.handle})
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

func (e *eventConsumer) handle(_ context.Context, batch []queue.Message) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, m := range batch {
		if err := e.read(m); err != nil {
			e.broken = append(e.broken, breach{"lost", fmt.Sprintf("message %s is no event: %v: %s", m.ID, err, m.Body)})
		}
	}
	return nil
}

func (e *eventConsumer) read(m queue.Message) error {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(m.Body))
	if err == nil {
		err = e.schema.Validate(doc)
	}
	if err != nil {
		return err
	}
	_, again, err := e.reader.Read(m.ID, m.Body)
	if again {
		e.repeated++
	}
	return err
}

// breaches compares the events of a sale with its rows and its log: the last event of
// each order must be as its row, and each change must have had one.
func (e *eventConsumer) breaches(ctx context.Context, sale string) ([]breach, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	found := slices.Clone(e.broken)
	note := func(kind, format string, args ...any) {
		found = append(found, breach{kind, "sale " + sale + ": " + fmt.Sprintf(format, args...)})
	}
	of, rows, err := promise.Rows(ctx, e.shop.store, saleID(e.shop.t, sale))
	if err != nil {
		return nil, err
	}
	err = rows.Events(ctx, e.shop.store, e.reader, of, note)
	return found, err
}

// awaitAll waits until no event of these sales is missing.
func (e *eventConsumer) awaitAll(t *testing.T, within time.Duration, sales ...string) {
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
