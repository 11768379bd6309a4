//go:build e2e

package test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/internal/otlp/otlptest"
)

// traced is a shop whose every request is traced, and what it is traced to.
func traced(t *testing.T) (*shop, *otlptest.Collector) {
	t.Helper()
	collector := otlptest.New(t)
	env := beside(t)
	env["SECKILL_TRACE_ENDPOINT"], env["SECKILL_TRACE_SAMPLE"] = collector.URL, "1"
	return newShop(t, env, 1, 1), collector
}

// spans are all there are: what the processes still have, they send at their end.
func (s *shop) spans(c *otlptest.Collector) otlptest.Spans {
	s.t.Helper()
	s.apis[0].terminate(15 * time.Second)
	s.consumers[0].terminate(25 * time.Second)
	return c.Spans()
}

// withTrace sends a traceparent with each request.
type withTrace struct {
	traceparent string
	next        http.RoundTripper
}

func (w withTrace) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header.Set("Traceparent", w.traceparent)
	return w.next.RoundTrip(r)
}

func TestOneOrdersTraceShowsEveryHop(t *testing.T) {
	s, collector := traced(t)
	c := s.crowd(s.sale(saleTerms{stock: 100}), s.tokens(777000, 2))
	_, err := c.ask(1, http.MethodPost, "/v1/sales/"+c.sale+"/orders", `{}`) // connections and scripts are there then
	require.NoError(t, err)
	time.Sleep(time.Second)
	const trace = "0af7651916cd43dd8448eb211c80319c"
	c.client.Transport = withTrace{"00-" + trace + "-b7ad6b7169203331-01", c.client.Transport}
	a, err := c.ask(0, http.MethodPost, "/v1/sales/"+c.sale+"/orders", `{}`)
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, a.status)
	_, err = c.ask(0, http.MethodGet, a.header.Get("Location")+"?wait=5s", "")
	require.NoError(t, err)
	poll := "GET /v1/orders/:id"
	all := s.spans(collector)
	spans := all.Trace(trace).Where(func(s otlptest.Span) bool { return s.Name != poll && s.Name != "HGET" })

	topic := s.setting("SECKILL_ROCKETMQ_TOPIC")
	post := "POST /v1/sales/:id/orders"
	for _, hop := range []struct{ inner, outer string }{
		{"reserve", post},
		{"reserve batch", "reserve"},
		{"EVALSHA reserve", "reserve batch"},
		{"create " + topic, post},
		{"send " + topic, "create " + topic},
		{"process " + topic, "create " + topic},
		{"settle", "process " + topic},
		{"transaction", "settle"},
		{"INSERT orders", "transaction"},
		{"UPDATE sales", "transaction"},
		{"INSERT sale_changes", "transaction"},
		{"COMMIT", "transaction"},
		{"write back", "settle"},
		{"EVALSHA apply", "write back"},
		{"PIPELINE PUBLISH", "write back"},
	} {
		inner, outer := spans.One(t, hop.inner), spans.One(t, hop.outer)
		require.Equal(t, outer.ID, inner.Parent, "%s in %s", hop.inner, hop.outer)
		require.False(t, inner.Failed, hop.inner)
	}
	require.Equal(t, "b7ad6b7169203331", spans.One(t, post).Parent)
	for batch, member := range map[string]string{"reserve batch": "reserve", "send " + topic: "create " + topic, "settle": "process " + topic} {
		require.Equal(t, []string{spans.One(t, member).ID}, spans.One(t, batch).Links, batch)
	}
	id := spans.One(t, "reserve").Attrs["seckill.order.id"]
	require.Equal(t, id, spans.One(t, "process "+topic).Attrs["messaging.message.id"])
	require.Equal(t, "confirmed", spans.One(t, "process "+topic).Attrs["seckill.order.status"])
	require.Equal(t, "mysql", spans.One(t, "COMMIT").Attrs["db.system.name"])
	require.Equal(t, "orders", spans.One(t, "INSERT orders").Attrs["db.collection.name"])
	for _, span := range all {
		role := "seckill-api"
		switch span.Name {
		case "process " + topic, "settle", "transaction", "write back", "COMMIT":
			role = "seckill-consumer"
		case post, poll, "reserve", "create " + topic, "send " + topic:
		default:
			role = span.Resource["service.name"]
		}
		require.Equal(t, role, span.Resource["service.name"], span.Name)
		for key, value := range span.Attrs {
			require.NotContains(t, value, "777000", "the shopper in %s of %s", key, span.Name)
			require.NotContains(t, value, c.tokens[0])
		}
	}
}

func TestEveryTracedOrderOfACrowdIsFoundFromItsBatches(t *testing.T) {
	s, collector := traced(t)
	const n = 200
	c := s.newSale(saleTerms{stock: n}, n)
	c.buy(100)
	require.Len(t, c.accepted, n)
	c.await(t, 30*time.Second)
	spans, topic := s.spans(collector), s.setting("SECKILL_ROCKETMQ_TOPIC")

	for _, of := range []struct{ batch, member string }{
		{"reserve batch", "reserve"}, {"send " + topic, "create " + topic}, {"settle", "process " + topic},
	} {
		batches, members := spans.Named(of.batch), spans.Named(of.member)
		require.Len(t, members, n, of.member)
		require.Less(t, len(batches), n, "%s: many at once", of.batch)
		batchOf := map[string]otlptest.Span{}
		for _, b := range batches {
			for _, id := range b.Links {
				require.NotContains(t, batchOf, id, "in one batch only")
				batchOf[id] = b
			}
		}
		for _, m := range members {
			b, ok := batchOf[m.ID]
			require.True(t, ok, of.member)
			require.True(t, b.Parent == m.ID || len(m.Links) == 1 && m.Links[0] == b.ID, "and back to its batch")
		}
	}
}
