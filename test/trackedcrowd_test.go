//go:build e2e

package test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"seckill/order"
)

// trackedCrowd is one sale of a schedule with its shoppers, and the answers that they
// got, which the stores are compared with. Its shoppers arrive at a steady pace,
// click twice, use keys, and poll their orders.
type trackedCrowd struct {
	*crowd
	stock, perShopper, units int
	lossy                    bool // Redis loses writes in this schedule: a key may name two orders, one of them dead

	hmu             sync.Mutex
	named           map[string]string    // shopper/key -> public ID first given
	broken          []breach             // promises broken in answers
	unseen          map[order.ID]bool    // orders put into the queue that Redis never saw
	forged          map[order.ID]bool    // orders that no API has signed
	doubles         map[order.ID]bool    // IDs that two orders were made to share
	cancelRequested map[string]bool      // public IDs whose shopper asked to cancel
	answeredAt      map[string]time.Time // when a final answer first came
	stopped         chan struct{}        // closed when nobody buys any more
}

func newTrackedCrowd(c *crowd, stock, perShopper, units int) *trackedCrowd {
	c.patience = 20 * time.Second
	c.client.Timeout = 6 * time.Second
	return &trackedCrowd{
		crowd: c, stock: stock, perShopper: perShopper, units: units,
		named: map[string]string{}, unseen: map[order.ID]bool{}, forged: map[order.ID]bool{}, doubles: map[order.ID]bool{}, cancelRequested: map[string]bool{}, answeredAt: map[string]time.Time{}, stopped: make(chan struct{}),
	}
}

// arrive sends all shoppers, spread over the time, and returns when each has
// been served or has given up.
func (c *trackedCrowd) arrive(rng *rand.Rand, over time.Duration) {
	var wg sync.WaitGroup
	n := len(c.tokens)
	begin := time.Now()
	for i := range n {
		kind, quantity := rng.IntN(100), 1+rng.IntN(c.units)
		time.Sleep(time.Until(begin.Add(over * time.Duration(i) / time.Duration(n))))
		switch {
		case kind < 15: // a double click
			wg.Go(func() { c.buyOnce(i, "", quantity) })
			wg.Go(func() { c.buyOnce(i, "", quantity) })
		case kind < 40:
			wg.Go(func() {
				for k := range c.perShopper {
					c.buyOnce(i, "key-"+strconv.Itoa(k), quantity)
				}
			})
		default:
			wg.Go(func() { c.buyOnce(i, "", quantity) })
		}
	}
	wg.Wait()
}

// buyOnce buys until there is an answer, then polls the order now and then. A
// shopper with a key sends the purchase once more.
func (c *trackedCrowd) buyOnce(i int, key string, quantity int) {
	defer c.answered.Add(1)
	body := fmt.Sprintf(`{"quantity":%d}`, quantity)
	for deadline := time.Now().Add(c.patience); time.Now().Before(deadline); {
		a, err := c.askWithKey(i, key, http.MethodPost, "/v1/sales/"+c.sale+"/orders", body)
		switch {
		case err == nil && a.status == http.StatusAccepted:
			c.given(i, key, a.body.ID)
			if key != "" {
				c.again(i, key, body)
			}
			c.pollUntilFinal(i, a.body.ID)
			return
		case err == nil && a.status < 500:
			c.refuse(a.body.Code)
			return
		}
		c.retries.Add(1)
		select {
		case <-time.After(100*time.Millisecond + rand.N(300*time.Millisecond)):
		case <-c.stopped:
			return
		}
	}
}

// given records a 202.
func (c *trackedCrowd) given(i int, key, id string) {
	c.addAccepted(id, i)
	if key == "" {
		return
	}
	name := strconv.Itoa(i) + "/" + key
	c.hmu.Lock()
	defer c.hmu.Unlock()
	if first, ok := c.named[name]; !ok {
		c.named[name] = id
	} else if first != id && !c.lossy {
		c.broken = append(c.broken, breach{"duplicate", fmt.Sprintf("key %s named order %s and then %s", name, plainID(first), plainID(id))})
	}
}

// again sends a purchase that was accepted once more.
func (c *trackedCrowd) again(i int, key, body string) {
	a, err := c.askWithKey(i, key, http.MethodPost, "/v1/sales/"+c.sale+"/orders", body)
	switch {
	case err != nil:
	case a.status == http.StatusAccepted:
		c.given(i, key, a.body.ID)
	case a.body.Code == "purchase-limit" && !c.lossy:
		c.hmu.Lock()
		defer c.hmu.Unlock()
		c.broken = append(c.broken, breach{"lost", fmt.Sprintf("key %d/%s named an order and is refused now", i, key)})
	}
}

// pollUntilFinal polls a few times, as a page does.
func (c *trackedCrowd) pollUntilFinal(i int, id string) {
	for _, wait := range []time.Duration{300 * time.Millisecond, 700 * time.Millisecond, 2 * time.Second, 4 * time.Second} {
		select {
		case <-time.After(wait):
		case <-c.stopped:
			return
		}
		if c.poll(i, id) {
			if i%10 == 7 {
				c.cancelOrder(i, id)
			}
			return
		}
	}
}

// cancelOrder cancels an order, if it is confirmed.
func (c *trackedCrowd) cancelOrder(i int, id string) {
	c.hmu.Lock()
	c.cancelRequested[id] = true
	c.hmu.Unlock()
	asked := time.Now()
	a, err := c.ask(i, http.MethodPost, "/v1/orders/"+id+"/cancel", "")
	if err == nil && a.status == http.StatusOK {
		c.addAnswer(id, a.orderStatus(), asked)
	}
}

// poll reports whether the order has its final answer, which must stay.
func (c *trackedCrowd) poll(i int, id string) bool {
	asked := time.Now()
	a, err := c.ask(i, http.MethodGet, "/v1/orders/"+id, "")
	if err != nil || a.status != http.StatusOK || !a.body.Done {
		return false
	}
	c.addAnswer(id, a.orderStatus(), asked)
	return true
}

// addAnswer records a final answer. The only change of one is from confirmed to
// cancelled, if the shopper asked for it. A poll that began before that may still
// answer confirmed.
func (c *trackedCrowd) addAnswer(id, status string, asked time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hmu.Lock()
	defer c.hmu.Unlock()
	was, ok := c.final[id]
	if was == "cancelled" && status == "confirmed" && c.cancelRequested[id] && asked.Before(c.answeredAt[id]) {
		return
	}
	c.final[id] = status
	if was != status {
		c.answeredAt[id] = time.Now()
	}
	granted := c.cancelRequested[id] && was == "confirmed" && status == "cancelled"
	if ok && was != status && !granted {
		c.broken = append(c.broken, breach{"lost", fmt.Sprintf("order %s was answered %s and then %s", plainID(id), was, status)})
	}
}

// undecided polls every accepted order without a final answer and returns how many
// are left.
func (c *trackedCrowd) undecided() int {
	c.mu.Lock()
	var open []string
	for id := range c.accepted {
		if _, ok := c.final[id]; !ok {
			open = append(open, id)
		}
	}
	c.mu.Unlock()
	left := len(open)
	var mu sync.Mutex
	each(len(open), 20, func(k int) {
		c.mu.Lock()
		i := c.accepted[open[k]]
		c.mu.Unlock()
		if c.poll(i, open[k]) {
			mu.Lock()
			left--
			mu.Unlock()
		}
	})
	return left
}

// pollAgain polls every accepted order and sends the keys once more: the answers
// must be the same.
func (c *trackedCrowd) pollAgain() {
	ids := c.acceptedIDs()
	each(len(ids), 20, func(k int) { c.poll(c.accepted[ids[k]], ids[k]) })
	c.hmu.Lock()
	names := slices.Collect(maps.Keys(c.named))
	c.hmu.Unlock()
	each(min(len(names), 60), 10, func(k int) {
		shopper, key, _ := strings.Cut(names[k], "/")
		i, _ := strconv.Atoi(shopper)
		c.again(i, key, `{"quantity":1}`) // another quantity is refused as such, not as a new order
	})
}

// plainID is the order ID that a public ID begins with.
func plainID(public string) order.ID {
	b, err := base64.RawURLEncoding.DecodeString(public)
	if err != nil || len(b) < 8 {
		return 0
	}
	var id order.ID
	for _, x := range b[:8] {
		id = id<<8 | order.ID(x)
	}
	return id
}
