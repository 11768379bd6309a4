//go:build e2e

package test

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// crowd is many shoppers of one sale. It records their answers outside the
// processes that a test kills.
type crowd struct {
	shop     *shop
	sale     string
	tokens   []string
	patience time.Duration // how long a shopper tries to get an answer
	client   *http.Client

	mu       sync.Mutex
	accepted map[string]int    // every order ID of a 202 -> shopper
	asked    []time.Time       // when each request that got a 202 was sent
	final    map[string]string // order ID -> the final status first seen
	refused  map[string]int    // problem code -> shoppers
	retries  atomic.Int64
	answered atomic.Int64  // shoppers who have their answer
	longest  time.Duration // that one of them waited for it; under mu
}

func (s *shop) crowd(sale string, tokens []string) *crowd {
	return &crowd{
		shop: s, sale: sale, tokens: tokens, patience: 3 * time.Minute,
		client: &http.Client{
			Timeout:   15 * time.Second,
			Transport: agreed.transport(&http.Transport{MaxIdleConnsPerHost: 512, MaxConnsPerHost: 512}),
		},
		accepted: map[string]int{}, final: map[string]string{}, refused: map[string]int{},
	}
}

// newSale makes a sale, opens it, and returns its shoppers.
func (s *shop) newSale(terms saleTerms, shoppers int) *crowd {
	s.t.Helper()
	return s.crowd(s.sale(terms), s.tokens(1, shoppers))
}

// each calls fn for 0 to n-1, some at a time.
func each(n, atOnce int, fn func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				fn(i)
			}
		})
	}
	wg.Wait()
}

// buy has every shopper buy one unit, as a good client does: it repeats an attempt
// without an answer, and then, before it believes "sold out", it lists its own
// orders.
func (c *crowd) buy(atOnce int) {
	each(len(c.tokens), atOnce, c.buyOne)
}

// arrive is buy by shoppers who arrive one after the other, whether or not those
// before them have their answers.
func (c *crowd) arrive(every time.Duration) {
	begin := time.Now()
	each(len(c.tokens), 200, func(i int) {
		time.Sleep(time.Until(begin.Add(time.Duration(i) * every)))
		c.buyOne(i)
	})
}

type answer struct {
	status int
	header http.Header
	body   struct {
		ID        string `json:"id"`
		Code      string `json:"code"`
		State     string `json:"state"`  // of a sale
		Status    any    `json:"status"` // a word of an order, a number of a problem
		Done      bool   `json:"done"`
		OrdersURL string `json:"orders_url"`
		Orders    []struct {
			ID string `json:"id"`
		} `json:"orders"`
	}
}

func (a answer) orderStatus() string { s, _ := a.body.Status.(string); return s }

func (c *crowd) buyOne(i int) {
	start := time.Now()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.longest = max(c.longest, time.Since(start))
		c.answered.Add(1)
	}()
	unanswered := false
	for deadline := time.Now().Add(c.patience); time.Now().Before(deadline); {
		sent := time.Now()
		a, err := c.ask(i, http.MethodPost, "/v1/sales/"+c.sale+"/orders", `{"quantity":1}`)
		switch {
		case err != nil:
			unanswered = true
		case a.status == http.StatusAccepted:
			c.addAccepted(a.body.ID, i)
			c.mu.Lock()
			c.asked = append(c.asked, sent)
			c.mu.Unlock()
			return
		case a.status == http.StatusServiceUnavailable:
			unanswered = unanswered || a.body.OrdersURL != ""
		default:
			if unanswered && a.body.Code == "sold-out" && !c.ownOrders(i) {
				break
			}
			c.refuse(a.body.Code)
			return
		}
		c.retries.Add(1)
		time.Sleep(50*time.Millisecond + rand.N(200*time.Millisecond))
	}
	c.refuse("no answer")
}

func (c *crowd) refuse(code string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused[code]++
}

// ownOrders records the orders a shopper has; false if no API answers.
func (c *crowd) ownOrders(i int) bool {
	a, err := c.ask(i, http.MethodGet, "/v1/orders?sale_id="+c.sale, "")
	if err != nil || a.status != http.StatusOK {
		return false
	}
	for _, o := range a.body.Orders {
		c.addAccepted(o.ID, i)
	}
	return true
}

func (c *crowd) addAccepted(id string, shopper int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.accepted[id] = shopper
}

func (c *crowd) ask(i int, method, path, body string) (a answer, err error) {
	return c.askWithKey(i, "", method, path, body)
}

func (c *crowd) askWithKey(i int, key, method, path, body string) (a answer, err error) {
	res, err := send(c.client, method, c.shop.urls[rand.IntN(len(c.shop.urls))]+path, body,
		"Authorization", "Bearer "+c.tokens[i], "Idempotency-Key", key)
	if err != nil {
		return a, err
	}
	a.status, a.header = res.status, res.header
	return a, json.Unmarshal([]byte(res.text), &a.body)
}

// await polls every accepted order until it has its final result, which must not
// change any more.
func (c *crowd) await(t *testing.T, within time.Duration) {
	t.Helper()
	ids := c.acceptedIDs()
	deadline := time.Now().Add(within)
	var pending atomic.Int64
	each(len(ids), 100, func(k int) {
		for {
			a, err := c.ask(c.accepted[ids[k]], http.MethodGet, "/v1/orders/"+ids[k]+"?wait=5s", "")
			if err == nil && a.status == http.StatusOK && a.body.Done {
				c.decided(t, ids[k], a.orderStatus())
				return
			}
			if time.Now().After(deadline) {
				pending.Add(1)
				t.Logf("order %s: %d %+v %v", ids[k], a.status, a.body, err)
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
	require.Zero(t, pending.Load(), "orders without a final result after %s", within)
}

func (c *crowd) decided(t *testing.T, id, status string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if was, ok := c.final[id]; ok && was != status {
		t.Errorf("order %s was %s before, and is %s now", id, was, status)
	}
	c.final[id] = status
}

func (c *crowd) acceptedIDs() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.accepted))
}

// proveInvariants checks the promises of the protocol at the end of a run: nothing
// oversold, every 202 with one final result that the rows agree with, no stock
// leaked, purchase limits kept, nothing pending, both stores in agreement.
func (c *crowd) proveInvariants(t *testing.T, stock, perShopper int) {
	t.Helper()
	var report auditReport
	require.Eventually(t, func() bool {
		report = c.shop.audit(c.sale)
		return report.OK && report.Sales[0].Pending == 0
	}, 60*time.Second, 500*time.Millisecond, "the audit still finds discrepancies: %+v", &report)
	sale := report.Sales[0]
	require.EqualValues(t, stock, sale.Available+sale.LiveUnits, "units in mysql")

	final := map[string]int{}
	for _, status := range c.final {
		final[status]++
	}
	require.Len(t, c.final, len(c.accepted), "each 202 has a final result")
	require.Equal(t, final["confirmed"], c.ordersThat(t, "confirmed"),
		"each confirmed row was reported to its shopper, and no other order as confirmed: %v", final)
	require.Zero(t, c.count(t, `SELECT COUNT(*) FROM (SELECT shopper_id FROM orders WHERE sale_id = ? AND live = 1 GROUP BY shopper_id HAVING COUNT(*) > `+strconv.Itoa(perShopper)+`) x`),
		"shoppers above the purchase limit")
	t.Logf("%d shoppers, %d retries, accepted %d, final %v, refused %v", len(c.tokens), c.retries.Load(), len(c.accepted), final, c.refused)
}

func (c *crowd) count(t *testing.T, query string) (n int) {
	t.Helper()
	require.NoError(t, c.shop.db.QueryRow(query, c.sale).Scan(&n))
	return n
}

// ordersThat counts the orders of the sale with this status.
func (c *crowd) ordersThat(t *testing.T, status string) int {
	t.Helper()
	return c.count(t, `SELECT COUNT(*) FROM orders WHERE sale_id = ? AND status = '`+status+`'`)
}
