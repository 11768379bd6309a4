package rocketmq_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/queue/queuetest"
	"seckill/queue/rocketmq"
)

// BenchmarkPublish publishes from so many goroutines; messages/batch tells how
// well they were gathered.
func BenchmarkPublish(b *testing.B) {
	o, _ := made(b, nameServers(b))
	for _, callers := range []int{1, 64, 256} {
		b.Run(fmt.Sprint(callers, "-callers"), func(b *testing.B) {
			var batches, messages atomic.Int64
			p := connected(b, o, rocketmq.PublisherOptions{Observe: func(_ string, n int, _ time.Duration) {
				batches.Add(1)
				messages.Add(int64(n))
			}})
			require.NoError(b, p.Publish(b.Context(), queuetest.Order(1)))
			var id atomic.Int64
			b.SetParallelism(max(1, callers/2))
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := p.Publish(b.Context(), queuetest.Order(id.Add(1))); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
			b.ReportMetric(float64(messages.Load())/float64(batches.Load()), "messages/batch")
		})
	}
}
