//go:build e2e

package test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/admin"
	"seckill/internal/webhook"
)

// pay sends a payment as the provider does and returns its outcome or the
// problem's code.
func (c *crowd) pay(order, event string, amount int) string {
	body := fmt.Sprintf(`{"order_id":%q,"amount_minor":%d,"currency":"CNY"}`, order, amount)
	now := time.Now()
	for deadline := now.Add(c.patience); now.Before(deadline); now = time.Now() {
		res, err := send(c.client, http.MethodPost, c.shop.urls[rand.IntN(len(c.shop.urls))]+"/v1/payments", body,
			webhook.HeaderEventID, event, webhook.HeaderTimestamp, strconv.FormatInt(now.Unix(), 10),
			webhook.HeaderSignature, webhook.Sign([]byte(paymentSecret), event, now, []byte(body)))
		if err != nil {
			continue // a provider tries again
		}
		var answer struct {
			Outcome string `json:"outcome"`
			Code    string `json:"code"`
		}
		if json.Unmarshal([]byte(res.text), &answer) == nil && res.status < http.StatusInternalServerError {
			return answer.Outcome + answer.Code
		}
		time.Sleep(20 * time.Millisecond)
	}
	return "no answer"
}

// cancel cancels an order, again while no API can, and returns its status.
func (c *crowd) cancel(i int, id string) string {
	for deadline := time.Now().Add(c.patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		a, err := c.ask(i, http.MethodPost, "/v1/orders/"+id+"/cancel", "")
		if err == nil && a.status < http.StatusInternalServerError {
			return a.orderStatus()
		}
	}
	return "no answer"
}

// result polls an order until it has one.
func (c *crowd) result(i int, id string) string {
	for range 50 {
		a, err := c.ask(i, http.MethodGet, "/v1/orders/"+id+"?wait=5s", "")
		if err == nil && a.status == http.StatusOK && a.body.Done {
			return a.orderStatus()
		}
	}
	return "no result"
}

// A small sale is bought out. Of its orders a third is paid, twice over; some
// are cancelled, the rest is never paid. Others buy what comes back, while a
// consumer and an API are killed, until every unit is paid.
func TestUnpaidUnitsComeBackAndAreBoughtByOthers(t *testing.T) {
	s := newShop(t, beside(t), 2, 2)
	const stock = 300
	c := s.newSale(saleTerms{stock: stock, payWithin: 5 * time.Second}, 2*stock)
	first := make([]string, stock)
	each(stock, 60, func(i int) {
		c.buyOne(i)
		if id := c.idOf(i); id != "" && c.result(i, id) == "confirmed" {
			first[i] = id
		}
		switch i % 3 {
		case 0: // twice at once, as providers do
			again := make(chan string)
			go func() { again <- c.pay(first[i], "first-"+first[i], 9900) }()
			one, two := c.pay(first[i], "first-"+first[i], 9900), <-again
			if one != "paid" || two != "paid" {
				t.Errorf("order %d: %s, %s", i, one, two)
			}
		case 1:
			if got := c.cancel(i, first[i]); got != "cancelled" {
				t.Errorf("order %d is not cancelled: %s", i, got)
			}
		}
	})
	require.NotContains(t, first, "", "everyone got one")
	require.Equal(t, "wrong-amount", c.pay(first[2], "wrong", 9901))

	s.consumers[0].kill()
	s.apis[0].kill()
	s.apis[0].start()
	var refunds atomic.Int64
	paid := func() int { return c.ordersThat(t, "paid") }
	each(stock, 60, func(k int) {
		i := stock + k
		for until := time.Now().Add(60 * time.Second); time.Now().Before(until) && paid() < stock; {
			a, err := c.ask(i, http.MethodPost, "/v1/sales/"+c.sale+"/orders", `{"quantity":1}`)
			if err != nil || a.status != http.StatusAccepted {
				time.Sleep(100 * time.Millisecond)
				continue
			}
			c.addAccepted(a.body.ID, i)
			if c.result(i, a.body.ID) == "confirmed" && c.pay(a.body.ID, "second-"+a.body.ID, 9900) == "refund_required" {
				refunds.Add(1) // the order expired a moment before
				continue
			}
			return
		}
	})
	require.Equal(t, stock, paid(), "every unit was paid for in the end")
	require.Equal(t, "refund_required", c.pay(first[2], "late", 9900))
	require.Equal(t, "refund_required", c.pay(first[0], "surplus", 9900))

	c.await(t, 30*time.Second)
	c.proveInvariants(t, stock, 1)
	report := s.audit(c.sale).Sales[0]
	require.EqualValues(t, stock, report.Paid)
	require.Zero(t, report.Available+report.Confirmed)
	require.Equal(t, stock, c.count(t, `SELECT COUNT(DISTINCT order_id) FROM payments JOIN orders ON orders.id = order_id
		WHERE orders.sale_id = ? AND status = 'paid' AND outcome = 'paid'`), "each paid order has a payment")
	require.Zero(t, c.count(t, `SELECT COUNT(*) FROM payments JOIN orders ON orders.id = order_id
		WHERE orders.sale_id = ? AND outcome = 'paid' AND status <> 'paid'`))
	due := refunds.Load() + 3
	require.EqualValues(t, due, c.count(t, `SELECT COUNT(*) FROM payments WHERE sale_id = ? AND outcome = 'refund_required'`))
	t.Logf("%d cancelled, %d to be refunded", report.Cancelled, due)
	c.returnMoney(t, int(due), map[string]string{"late": "cancelled", "surplus": "paid", "wrong": "wrong_amount"}, first[2])
}

// returnMoney does what an operator does: lists what is to be refunded, shows an order
// and the report, and marks each refund.
func (c *crowd) returnMoney(t *testing.T, due int, reasons map[string]string, orderID string) {
	t.Helper()
	listed := func(args ...string) (ps []admin.PaymentView) {
		t.Helper()
		out, code := command(t, c.shop.env, "", append([]string{"payments", "list", "--json", "--refund-required", "--sale", c.sale}, args...)...)
		require.Zero(t, code)
		require.NoError(t, json.Unmarshal([]byte(out), &ps), out)
		return ps
	}
	all := listed()
	require.Len(t, all, due)
	for _, p := range all {
		if why, ok := reasons[p.EventID]; ok {
			require.Equal(t, why, p.Reason, p.EventID)
		}
	}
	require.Len(t, listed("--limit", "1"), 1)
	out, code := command(t, c.shop.env, "", "order", "show", orderID)
	require.Zero(t, code)
	require.Contains(t, out, "event late: TO BE REFUNDED (cancelled)")
	out, code = command(t, c.shop.env, "", "sale", "report", c.sale)
	require.Zero(t, code)
	require.Regexp(t, fmt.Sprintf(`to be refunded +%d payments`, due), out)
	for _, p := range all {
		for range 2 {
			_, code := command(t, c.shop.env, "", "payments", "refunded", p.EventID)
			require.Zero(t, code)
		}
	}
	require.Empty(t, listed())
}

// idOf is the order of a shopper who has one.
func (c *crowd) idOf(shopper int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, i := range c.accepted {
		if i == shopper {
			return id
		}
	}
	return ""
}

func TestACancelledUnitIsOnSaleAgainWithinASecondEverywhere(t *testing.T) {
	s := newShop(t, sharedServers(t), 3, 1)
	c := s.newSale(saleTerms{stock: 1}, 10)
	c.buyOne(0)
	id := c.idOf(0)
	require.Equal(t, "confirmed", c.result(0, id))
	state := func(url string) string { return saleAt(url, c.sale).State }
	for _, url := range s.urls {
		require.Eventually(t, func() bool { return state(url) == "sold_out" }, 3*time.Second, 10*time.Millisecond)
	}
	require.Equal(t, "cancelled", c.cancel(0, id))
	cancelled := time.Now()
	for _, url := range s.urls {
		require.Eventually(t, func() bool { return state(url) == "open" }, time.Second, 5*time.Millisecond)
	}
	t.Logf("every API sells again after %s", time.Since(cancelled))
	c.buyOne(1)
	require.Equal(t, "confirmed", c.result(1, c.idOf(1)))
	c.await(t, 10*time.Second)
	c.proveInvariants(t, 1, 1)
}
