//go:build e2e

package test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// asked returns how often the APIs were asked for a sale.
func (s *shop) asked(t *testing.T) (n int) {
	t.Helper()
	for _, p := range s.apis {
		n += int(p.metric(t, `seckill_http_requests_total{code="200",route="/v1/sales/:id"}`))
	}
	return n
}

func (s *shop) cachedBehindNginx(t *testing.T, url string) {
	sale := s.sale(saleTerms{stock: 5})
	before, start := s.asked(t), time.Now()
	const times = 400
	for i := range times {
		status, text := fetch(t, http.DefaultClient, http.MethodGet, fmt.Sprintf("%s/v1/sales/%s?x=%d", url, sale, i), "")
		require.Equal(t, http.StatusOK, status, text)
	}
	took, asked := time.Since(start), s.asked(t)-before
	t.Logf("%d answers in %s, %d of them by an API", times, took, asked)
	require.Positive(t, asked)
	require.LessOrEqual(t, asked, 2+int(took.Seconds()))
	s.steer("pause", sale)
	require.Eventually(t, func() bool {
		_, text := fetch(t, http.DefaultClient, http.MethodGet, url+"/v1/sales/"+sale, "")
		return strings.Contains(text, `"state":"paused"`)
	}, 3*time.Second, 100*time.Millisecond, "an old answer is cached")
}

// heldPollsMove kills the API that holds half of the polls, and only then lets
// the orders be settled.
func (s *shop) heldPollsMove(t *testing.T) {
	const shoppers = 60
	c := s.behindNginx(s.sale(saleTerms{stock: shoppers}), s.tokens(9_200, shoppers))
	c.buy(10)
	require.Len(t, c.accepted, shoppers)
	ids := c.acceptedIDs()
	var wg sync.WaitGroup
	var confirmed atomic.Int64
	for _, id := range ids {
		wg.Go(func() {
			a, err := c.ask(c.accepted[id], http.MethodGet, "/v1/orders/"+id+"?wait=20s", "")
			if err == nil && a.status == http.StatusOK && a.orderStatus() == "confirmed" {
				confirmed.Add(1)
			}
		})
	}
	held := func(p *process) float64 { return p.metric(t, "seckill_http_held_polls") }
	require.Eventually(t, func() bool { return held(s.apis[0])+held(s.apis[1]) == shoppers }, 10*time.Second, 50*time.Millisecond)
	require.Greater(t, held(s.apis[0]), 10.0, "the polls are spread")
	s.apis[0].kill()
	require.Eventually(t, func() bool { return held(s.apis[1]) == shoppers }, 10*time.Second, 50*time.Millisecond, "nginx asks the other API")
	s.consumers = append(s.consumers, startProcess(s.t, s.env, "consumer"))
	wg.Wait()
	require.EqualValues(t, shoppers, confirmed.Load(), "by the first answer")
	s.apis[0].start()
	c.await(t, 20*time.Second)
	c.proveInvariants(t, shoppers, 1)
}

// killedBehindNginx kills an API while shoppers buy and list their orders.
func (s *shop) killedBehindNginx(t *testing.T) {
	const stock, shoppers = 1500, 2000
	c := s.behindNginx(s.sale(saleTerms{stock: stock}), s.tokens(20_001, shoppers))
	done := make(chan struct{})
	var looks, failed atomic.Int64
	var looking sync.WaitGroup
	for i := range 4 {
		looking.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(10 * time.Millisecond):
				}
				a, err := c.ask(i, http.MethodGet, "/v1/orders?sale_id="+c.sale, "")
				looks.Add(1)
				if err != nil || a.status != http.StatusOK {
					failed.Add(1)
				}
			}
		})
	}
	go func() {
		for c.answered.Load() < shoppers/4 {
			time.Sleep(5 * time.Millisecond)
		}
		s.apis[1].kill()
	}()
	c.buy(60)
	time.Sleep(500 * time.Millisecond)
	close(done)
	looking.Wait()
	require.False(t, s.apis[1].running())
	t.Logf("%d looks, the longest purchase took %s, %d were sent again", looks.Load(), c.longest, c.retries.Load())
	require.Zero(t, failed.Load(), "a GET goes to the other API")
	require.Less(t, c.longest, 20*time.Second)
	c.await(t, 60*time.Second)
	c.proveInvariants(t, stock, 1)
	require.Equal(t, stock, c.ordersThat(t, "confirmed"))
}
