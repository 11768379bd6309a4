package scrape

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSumAddsUpByNameAndByLabel(t *testing.T) {
	t.Parallel()
	const page = `# HELP seckill_orders_refused_total Purchases refused.
seckill_orders_refused_total{reason="sold-out"} 5
seckill_orders_refused_total{reason="backlog"} 2
seckill_orders_refused_total_other 100
seckill_http_requests_total{code="202",route="/a b"} 7
seckill_http_requests_total{code="500",route="/a"} 1
seckill_http_requests_total{code="503",route="/b"} 3
seckill_orders_accepted_total 1.5e+06
`
	for prefix, want := range map[string]float64{
		"seckill_orders_refused_total":                    7,
		`seckill_orders_refused_total{reason="sold-out"}`: 5,
		`seckill_http_requests_total{code="5`:             4,
		"seckill_orders_accepted_total":                   1_500_000,
		"missing":                                         0,
	} {
		require.InDelta(t, want, Sum(page, prefix), 0, prefix)
	}
}
