package simulation

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"

	"seckill/internal/webhook"
	"seckill/order"
)

// visitor is a shopper's visit: when, for which sale, and what follows.
type visitor struct {
	at       time.Duration
	shopper  string
	sale     int
	quantity int
	keys     int // 0: none is sent
	clicks   int
	intent   intent
	holds    bool // polls are held
	seed     uint64
}

// intent is what a shopper does with a confirmed order.
type intent int

const (
	keeps intent = iota
	cancels
	pays
	paysTwice
	paysWrong
	both // pays and cancels at the same time
)

func shopperName(i int) string { return "shopper-" + strconv.Itoa(i) }

// Shoppers is how many there may be: their tokens can be made in advance.
const Shoppers = 30

func drawVisitors(r *rand.Rand, p plan) (cs []visitor) {
	n := 6 + r.IntN(Shoppers-6)
	for i := range n {
		c := visitor{
			at: seconds(r, 0, p.load.Seconds()), shopper: shopperName(i), sale: r.IntN(2), quantity: 1, clicks: 1,
			holds: r.IntN(4) == 0, seed: r.Uint64(),
		}
		c.quantity += r.IntN(p.sales[c.sale].units)
		switch k := r.IntN(100); {
		case k < 20:
			c.clicks = 2 + r.IntN(2)
		case k < 50:
			c.keys = p.sales[c.sale].orders
		}
		c.intent = []intent{keeps, keeps, keeps, cancels, cancels, pays, paysTwice, paysWrong, both}[r.IntN(9)]
		cs = append(cs, c)
	}
	return cs
}

// crowd is the shoppers and the answers they got.
type crowd struct {
	w      *system
	closed chan struct{} // no more purchases

	mu       sync.Mutex
	seen     map[string]*seenOrder // by public ID
	public   []string              // in the order of their acceptance
	named    map[string]string     // shopper/sale/key -> public ID
	expected []order.Order         // orders that only the queue knew
	unwanted []order.Order         // orders that no API has signed
	broken   []string
}

// seenOrder is what a shopper knows of an order.
type seenOrder struct {
	order.Order

	final     string // the last status of a done answer
	heard     time.Time
	cancelled bool   // cancelling was asked for
	paying    bool   // a payment was sent
	paid      string // the outcome in the answer to the provider
}

func newCrowd(w *system) *crowd {
	return &crowd{w: w, closed: make(chan struct{}), seen: map[string]*seenOrder{}, named: map[string]string{}}
}

func (c *crowd) close() { close(c.closed) }

// answer is what came back.
type answer struct {
	status int
	ID     string `json:"id"`
	Status string `json:"status"`
	Done   bool   `json:"done"`
	Code   string `json:"code"`
	// Outcome is a payment's.
	Outcome string `json:"outcome"`
}

// request is what a shopper sends.
type request struct {
	who          string
	api          int
	method, path string
	body         string
	header       http.Header
	lost         bool // the answer will be
}

// ask sends a request; false when no answer came.
func (c *crowd) ask(q request) (a answer, ok bool) {
	p := c.w.alive(processes[q.api%2])
	if p == nil {
		return a, false
	}
	ctx, cancel := context.WithTimeout(p.ctx, 8*time.Second)
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, q.method, q.path, strings.NewReader(q.body))
	maps.Copy(r.Header, q.header)
	if q.who != "" {
		r.Header.Set("Authorization", "Bearer "+c.w.program.Token(q.who))
	}
	if q.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	rec := httptest.NewRecorder()
	if !serve(p.handler, rec, r) || p.gone() || q.lost {
		c.w.trace.notef(q.who, "%s %s at %s: no answer", q.method, q.path, p.name)
		return a, false
	}
	a.status = rec.Code
	_ = json.Unmarshal(rec.Body.Bytes(), &a)
	c.w.trace.notef(q.who, "%s %s %s at %s: %d %s%s%s %s", q.method, q.path, q.body, p.name, a.status, a.Status, a.Code, a.Outcome, plain(a.ID))
	return a, true
}

// serve reports whether the handler answered: as net/http does, it takes one
// kind of panic for a connection cut off.
func serve(h http.Handler, w http.ResponseWriter, r *http.Request) (ok bool) {
	defer func() {
		if v := recover(); v != nil {
			if v != http.ErrAbortHandler { //nolint:errorlint,err113 // as net/http compares it
				panic(v)
			}
			ok = false
		}
	}()
	h.ServeHTTP(w, r)
	return true
}

// plain is the decimal form of a public ID.
func plain(public string) string {
	if id, err := order.PeekPublicID(public); err == nil {
		return id.String()
	}
	return ""
}

// arrive is a shopper's visit.
func (c *crowd) arrive(v visitor) {
	time.Sleep(v.at)
	var clicks sync.WaitGroup
	for i := range max(v.clicks, v.keys) {
		key := ""
		if v.keys > 0 {
			key = "key-" + strconv.Itoa(i)
		}
		clicks.Go(func() { c.buy(v, key, rand.New(rand.NewPCG(v.seed, uint64(i)))) })
	}
	clicks.Wait()
}

const again = "-again" // ends the key of a purchase after a cancelled one

// buy sends the purchase until there is an answer, then looks after the order.
func (c *crowd) buy(v visitor, key string, r *rand.Rand) {
	for range 1 + r.IntN(12) {
		a, ok := c.purchase(v, key, r.IntN(2), r.IntN(20) == 0)
		if ok && a.status == http.StatusAccepted {
			if key != "" && r.IntN(2) == 0 {
				c.purchase(v, key, r.IntN(2), false)
			}
			c.lookAfter(v, a.ID, r)
			if v.intent == cancels && !strings.HasSuffix(key, again) && r.IntN(2) == 0 {
				c.buy(v, key+again, r) // as hoarders do
			}
			return
		}
		if ok && a.status < 500 {
			return
		}
		if c.rest(seconds(r, 0.1, 0.6)) {
			return
		}
	}
}

// rest waits and reports whether the shop has closed.
func (c *crowd) rest(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return false
	case <-c.closed:
		return true
	}
}

func (c *crowd) purchase(v visitor, key string, at int, lost bool) (answer, bool) {
	h := http.Header{}
	if key != "" {
		h.Set("Idempotency-Key", key)
	}
	a, ok := c.ask(request{
		who: v.shopper, api: at, method: http.MethodPost, path: fmt.Sprintf("/v1/sales/%d/orders", sales[v.sale]),
		body: fmt.Sprintf(`{"quantity":%d}`, v.quantity), header: h, lost: lost,
	})
	if ok {
		c.given(v, key, a)
	}
	return a, ok
}

// given records the answer to a purchase.
func (c *crowd) given(v visitor, key string, a answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := fmt.Sprintf("%s/%d/%s", v.shopper, v.sale, key)
	switch {
	case a.status == http.StatusAccepted:
		if c.seen[a.ID] == nil {
			id, err := order.PeekPublicID(a.ID)
			if err != nil {
				c.breachf("answer without an ID: %+v", a)
				return
			}
			c.seen[a.ID] = &seenOrder{Order: order.Order{ID: id, SaleID: sales[v.sale], ShopperID: v.shopper, Quantity: v.quantity}}
			c.public = append(c.public, a.ID)
		}
		if first := c.named[name]; key != "" && first != "" && first != a.ID && !c.w.plan.lossy() {
			c.breachf("key %s named order %s and then %s", name, plain(first), plain(a.ID))
		}
		if key != "" && c.named[name] == "" {
			c.named[name] = a.ID
		}
	case a.Code == "purchase-limit" && key != "" && c.named[name] != "" && !c.w.plan.lossy():
		c.breachf("key %s named order %s and is refused now", name, plain(c.named[name]))
	}
}

func (c *crowd) breachf(format string, args ...any) {
	c.broken = append(c.broken, fmt.Sprintf(format, args...))
}

// lookAfter polls an order until it is done, and pays or cancels it.
func (c *crowd) lookAfter(v visitor, id string, r *rand.Rand) {
	for _, wait := range []float64{0.3, 0.7, 1.5, 3} {
		if c.rest(seconds(r, 0.5*wait, wait)) {
			return
		}
		if a := c.poll(v.shopper, id, r.IntN(2), v.holds); a.Done {
			if a.Status == "confirmed" {
				c.act(v, id, r)
			}
			return
		}
	}
}

func (c *crowd) act(v visitor, id string, r *rand.Rand) {
	switch v.intent {
	case keeps:
	case cancels:
		c.cancel(v.shopper, id, r.IntN(2))
		if r.IntN(2) == 0 {
			c.cancel(v.shopper, id, r.IntN(2))
		}
	case pays:
		c.pay(id, v.quantity*price, r.IntN(2))
	case paysTwice:
		c.pay(id, v.quantity*price, 0)
		c.pay(id, v.quantity*price, 1)
	case paysWrong:
		c.pay(id, v.quantity*price+1, r.IntN(2))
	case both:
		var wg sync.WaitGroup
		wg.Go(func() { c.pay(id, v.quantity*price, 0) })
		wg.Go(func() { c.cancel(v.shopper, id, 1) })
		wg.Wait()
	}
	c.poll(v.shopper, id, r.IntN(2), false)
}

// poll asks for an order once; held, until there is a result.
func (c *crowd) poll(who, id string, at int, held bool) answer {
	asked := time.Now()
	path := "/v1/orders/" + id
	if held {
		path += "?wait=3s"
	}
	a, ok := c.ask(request{who: who, api: at, method: http.MethodGet, path: path})
	switch {
	case ok && a.status == http.StatusOK && a.Done:
		c.record(id, a.Status, asked)
	case ok && a.status == http.StatusNotFound:
		c.mu.Lock()
		c.breachf("order %s is not found", plain(id))
		c.mu.Unlock()
	}
	return a
}

func (c *crowd) cancel(who, id string, at int) {
	asked := time.Now()
	c.mu.Lock()
	c.seen[id].cancelled = true
	c.mu.Unlock()
	a, ok := c.ask(request{who: who, api: at, method: http.MethodPost, path: "/v1/orders/" + id + "/cancel"})
	if ok && a.status == http.StatusOK {
		c.record(id, a.Status, asked)
	}
}

// pay is the payment provider's callback, under one event for each order.
func (c *crowd) pay(id string, amount, at int) {
	c.mu.Lock()
	c.seen[id].paying = true
	c.mu.Unlock()
	body := fmt.Sprintf(`{"order_id":%q,"amount_minor":%d,"currency":"CNY"}`, id, amount)
	now := time.Now()
	event := "event-" + plain(id)
	h := http.Header{}
	h.Set(webhook.HeaderEventID, event)
	h.Set(webhook.HeaderTimestamp, strconv.FormatInt(now.Unix(), 10))
	h.Set(webhook.HeaderSignature, webhook.Sign(c.w.program.Secret, event, now, []byte(body)))
	a, ok := c.ask(request{api: at, method: http.MethodPost, path: "/v1/payments", body: body, header: h})
	if !ok || a.status != http.StatusOK {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.seen[id]
	if t.paid != "" && t.paid != a.Outcome {
		c.breachf("payment of order %d was %s and then %s", t.ID, t.paid, a.Outcome)
	}
	t.paid = a.Outcome
	if amount%price != 0 {
		c.breachf("a wrong amount for order %d was %s", t.ID, a.Outcome)
	}
}

// record notes a final answer. What may follow confirmed is what was asked for,
// or what the time for paying says. The answer to an earlier question may come
// later than one to a later question.
func (c *crowd) record(id, status string, asked time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.seen[id]
	short := c.w.plan.sales[t.SaleID-sales[0]].payWithin < time.Minute
	follows := t.final == "confirmed" && (status == "cancelled" && (t.cancelled || short) || status == "paid" && t.paying)
	switch {
	case status == t.final:
		return
	case t.final == "", follows:
		t.final, t.heard = status, time.Now()
	case status == "confirmed" && !asked.After(t.heard): // it was, when it was asked
	default:
		c.breachf("order %d was answered %s and then %s", t.ID, t.final, status)
	}
}

// any is some order that was accepted.
func (c *crowd) any() (order.Order, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.public) == 0 {
		return order.Order{}, false
	}
	return c.seen[c.public[len(c.public)/2]].Order, true
}
