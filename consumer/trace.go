package consumer

import (
	"context"

	"seckill/internal/telemetry"
	"seckill/order"
	"seckill/queue"
)

// traces are the spans of the traced orders of one delivery, by order; nil for none. They
// are complete before the orders are passed to the pool.
type traces map[order.ID]telemetry.Span

// begin starts the span of a delivered order, if it is traced.
func (p *Pool) begin(ctx context.Context, ts traces, m queue.Message, o order.Order) traces {
	span := p.opts.Tracer.Process(ctx, p.opts.Topic, m.Traceparent, int64(o.ID))
	if !span.On() || ts[o.ID].On() { // the second of two is the same order, or a collision
		return ts
	}
	if ts == nil {
		ts = traces{}
	}
	span.ID("seckill.sale.id", o.SaleID)
	span.ID("seckill.order.id", int64(o.ID))
	ts[o.ID] = span
	return ts
}

// end ends the spans that are still open, those of orders without a verdict.
func (ts traces) end(err error) {
	for _, span := range ts {
		span.End(err)
	}
}

// batchTrace are the spans of a batch; nil if nothing in it is traced.
type batchTrace struct {
	orders traces
	span   telemetry.Span // of the batch
}

// trace starts the span of a batch, if an order in it is traced.
func (p *Pool) trace(ctx context.Context, items []item) (context.Context, *batchTrace) {
	if p.opts.Tracer == nil {
		return ctx, nil
	}
	var t batchTrace
	var of []telemetry.Span
	for _, it := range items {
		if span := it.call.traces[it.order.ID]; span.On() {
			if t.orders == nil {
				t.orders = traces{}
			}
			t.orders[it.order.ID] = span
			of = append(of, span)
		}
	}
	if of == nil {
		return ctx, nil
	}
	ctx, t.span = p.opts.Tracer.Batch(ctx, "settle", telemetry.Internal, of)
	t.span.Int("seckill.batch.orders", len(items))
	return ctx, &t
}

// of returns the span of an order.
func (t *batchTrace) of(id order.ID) telemetry.Span {
	if t == nil {
		return telemetry.Span{}
	}
	return t.orders[id]
}

// end ends the span of the batch and the spans of the orders in vs. After an error there
// are none: the orders will be tried again.
func (t *batchTrace) end(vs []order.Verdict, err error) {
	if t == nil {
		return
	}
	t.span.End(err)
	for _, v := range vs {
		if span := t.orders[v.ID]; span.On() {
			span.Text("seckill.order.status", string(v.Status))
			if v.Reason != "" {
				span.Text("seckill.order.reason", string(v.Reason))
			}
			span.End(nil)
		}
	}
}
