package telemetry_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"seckill/internal/telemetry"
	"seckill/internal/telemetry/telemetrytest"
)

// What an accepted purchase calls of this package in the API.
func BenchmarkPurchase(b *testing.B) {
	for name, tracer := range map[string]*telemetry.Tracer{
		"off": nil, "not sampled": telemetrytest.Discard(b, 0), "sampled": telemetrytest.Discard(b, 1),
	} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/v1/sales/7/orders", http.NoBody)
			b.ReportAllocs()
			for b.Loop() {
				purchase(tracer, r)
			}
		})
	}
}

func purchase(tracer *telemetry.Tracer, r *http.Request) {
	r, post := tracer.Request(r, "/v1/sales/:id/orders")
	ctx, reserve := tracer.Start(r.Context(), "reserve")
	waiting := tracer.Current(ctx) //nolint:contextcheck // it is the one that Start returned
	if tracer != nil {
		_, batch := tracer.Batch(ctx, "reserve batch", telemetry.Internal, []telemetry.Span{waiting})
		batch.End(nil)
	}
	reserve.ID("seckill.order.id", 1<<60)
	reserve.End(nil)
	create := tracer.Create(r.Context(), "SECKILL_ORDER", 1<<60) //nolint:contextcheck // as above, of Request
	_ = create.Traceparent()
	create.End(nil)
	post.Answered(http.StatusAccepted, "id")
}
