package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/event"
	"seckill/queue"
	"seckill/queue/memory"
)

// published is a topic with events of two sales.
func published(t *testing.T) *memory.Topic {
	t.Helper()
	body := func(sale, shopper, reference string) []byte {
		return []byte(`{"specversion":"1.0","id":"` + sale + `-3-512","type":"seckill.order.confirmed","time":"2026-11-11T12:00:00.120Z","data":{"order_id":"512","sale_id":"` + sale +
			`","shopper_id":"` + shopper + `","status":"confirmed","quantity":2,"amount_minor":19800,"currency":"CNY","sku":"cup-1","reference":"` + reference + `","sequence":3}}`)
	}
	topic := memory.NewTopic()
	require.NoError(t, topic.Publish(t.Context(), []queue.EventMessage{
		{ID: "7-3-512", Body: body("7", "42", "cart-1")},
		{ID: "stranger", Body: []byte("{}")},
		{ID: "8-3-512", Body: body("8", "43", "")},
		{ID: "7-3-513", Body: body("7", "44", `\u001b[2J`)},
	}))
	return topic
}

// tailed runs the tail for a moment.
func tailed(t *testing.T, p *process, w tail) (stdout, stderr string, err error) {
	t.Helper()
	return tailedOf(t, published(t), p, w)
}

func tailedOf(t *testing.T, r eventReader, p *process, w tail) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	p.stdout, p.stderr = &out, &errs
	w.fromStart = true
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err = p.tailEvents(ctx, r, w)
	return out.String(), errs.String(), err
}

func TestTailShowsEventsToPeople(t *testing.T) {
	t.Parallel()
	out, errs, err := tailed(t, &process{}, tail{sale: 7})
	require.NoError(t, err, "interrupted")
	require.Equal(t, "2026-11-11T12:00:00.120Z  confirmed  order 512  sale 7  #3  shopper 42  2 x cup-1  ¥198.00 (19800)    cart-1\n"+
		"2026-11-11T12:00:00.120Z  confirmed  order 512  sale 7  #3  shopper 44  2 x cup-1  ¥198.00 (19800)    \"\\x1b[2J\"\n", out)
	require.Contains(t, errs, "message stranger: event: no order event")
}

func TestTailShowsEventsToProgramsAsTheyAre(t *testing.T) {
	t.Parallel()
	out, _, err := tailed(t, &process{json: true}, tail{limit: 2})
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	require.Len(t, lines, 2)
	e, err := event.Parse([]byte(lines[1]))
	require.NoError(t, err)
	require.Equal(t, "8-3-512", e.ID)
}

func TestTailShowsThePaymentToBeRefunded(t *testing.T) {
	t.Parallel()
	e := event.Event{SpecVersion: "1.0", ID: "7-4-512", Type: event.RefundType, Time: "2026-11-11T12:00:00.120Z", Data: event.Data{
		OrderID: "512", SaleID: "7", ShopperID: "42", Status: "cancelled", AmountMinor: 9900, Currency: "CNY", Sequence: 4,
		Payment: &event.Payment{EventID: "evt\x1b[2J", AmountMinor: 50, Currency: "USD", Reason: "wrong_amount"},
	}}
	require.Equal(t, `2026-11-11T12:00:00.120Z  refund     order 512  sale 7  #4  shopper 42  50 USD  wrong_amount  payment "evt\x1b[2J"`, eventLine(e))
}

// TestTailEscapesEveryText: another program writes to the topic, and every text of its
// event would clear the screen and start a line.
func TestTailEscapesEveryText(t *testing.T) {
	t.Parallel()
	e := event.Event{SpecVersion: "1.0", ID: "x", Data: event.Data{Sequence: 1}}
	bad := "\x1b[2J\n\u009b"
	for _, text := range []*string{
		&e.Time, &e.Data.OrderID, &e.Data.SaleID, &e.Data.ShopperID, &e.Data.SKU, &e.Data.Currency, &e.Data.Reference,
		(*string)(&e.Data.Status), (*string)(&e.Data.Reason),
	} {
		*text = bad
	}
	body, err := json.MarshalIndent(e, "", "\t")
	require.NoError(t, err)
	topic := memory.NewTopic()
	require.NoError(t, topic.Publish(t.Context(), []queue.EventMessage{{ID: bad, Body: body}, {ID: bad, Body: []byte("no JSON" + bad)}, {ID: bad, Body: append(body, '}')}}))
	for _, asJSON := range []bool{false, true} {
		out, errs, err := tailedOf(t, topic, &process{json: asJSON}, tail{})
		require.NoError(t, err)
		require.Equal(t, 1, strings.Count(out, "\n"), "one line: %s", out)
		require.Equal(t, 2, strings.Count(errs, "\n"), "a warning for each of the others: %s", errs)
		require.NotContains(t, out+errs, "\x1b")
		require.NotContains(t, errs, "\u009b")
		if asJSON {
			require.JSONEq(t, string(body), out)
			continue
		}
		require.NotContains(t, out, "\u009b")
		require.Equal(t, 9, strings.Count(out, `"\x1b[2J\n\u009b"`), out)
	}
}

func TestTailEndsWhenItsReaderIsClosed(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	require.NoError(t, r.Close())
	p := &process{stdout: w, stderr: io.Discard}
	require.ErrorIs(t, p.tailEvents(t.Context(), published(t), tail{fromStart: true}), io.ErrClosedPipe)
}

func TestTailReportsThatTheBrokerIsDown(t *testing.T) {
	t.Parallel()
	p := &process{stdout: io.Discard, stderr: io.Discard}
	require.Equal(t, exitDependency, exitCode(p.tailEvents(t.Context(), failingReader{}, tail{})))
	code, _, _ := command(t, nil, "events", "tail", "--limit", "-1")
	require.Equal(t, exitUsage, code)
	code, out, _ := command(t, nil, "events", "schema")
	require.Zero(t, code)
	require.Equal(t, string(event.Schema), out)
	code, out, _ = command(t, nil, "events", "schema", "refund")
	require.Zero(t, code)
	require.Equal(t, string(event.RefundSchema), out)
	code, _, _ = command(t, nil, "events", "schema", "payment")
	require.Equal(t, exitUsage, code)
}

type failingReader struct{}

func (failingReader) Read(context.Context, bool, func([]queue.Message) error) error {
	return errors.New("connection refused")
}
