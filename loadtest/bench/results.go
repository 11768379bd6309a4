package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"seckill/internal/loop"
)

// results measures how long a shopper waits, from the start of the POST until the
// long poll returns the result.
func (b *bench) results(ctx context.Context) error {
	if err := b.ready(ctx, b.fast); err != nil {
		return err
	}
	if b.wants("idle_p50_ms") {
		for range b.rounds {
			if err := b.idleResults(ctx); err != nil {
				return fmt.Errorf("idle: %w", err)
			}
		}
	}
	if !b.wants("result_p50_ms", "result_p99_ms") {
		return nil
	}
	most, err := b.resultLimit(ctx)
	if err != nil {
		return fmt.Errorf("result: %w", err)
	}
	rate, note := most/2, "half of what this client and the whole path reach"
	if d := b.drainRate(); d > 0 && d < most {
		rate, note = d/2, "half the drain rate"
	}
	for i := range min(b.rounds, 3) {
		if err := b.steadyResults(ctx, i, rate, note); err != nil {
			return fmt.Errorf("result: %w", err)
		}
	}
	return nil
}

func (b *bench) idleResults(ctx context.Context) error {
	return b.buying(ctx, 100_000, func(c *client) error {
		var took []time.Duration
		m := b.meter()
		for end := time.Now().Add(b.seconds / 2); time.Now().Before(end); {
			began := time.Now()
			if err := c.buy(ctx, len(took)); err != nil {
				return err
			}
			took = append(took, time.Since(began))
			if err := loop.Pause(ctx, 5*time.Millisecond); err != nil { // so that every process is idle again
				return err
			}
		}
		_, foreign := m.read()
		b.add("idle_p50_ms", sample{rate: quantile(took, 0.50), foreign: foreign}, sample{})
		return nil
	})
}

// buying calls do with a client of a new sale, and audits the sale.
func (b *bench) buying(ctx context.Context, shoppers int, do func(*client) error) error {
	sl, err := b.fast.open(ctx, plenty, 1)
	if err != nil {
		return err
	}
	c, err := b.newClient(sl, shoppers)
	if err != nil {
		return err
	}
	if err := do(c); err != nil {
		return err
	}
	c.http.CloseIdleConnections()
	return sl.check(ctx)
}

// resultShoppers is how many shoppers buy again at once: enough that they are not the
// limit.
const resultShoppers = 1024

// resultLimit is how many orders per second get their result while resultShoppers buy.
func (b *bench) resultLimit(ctx context.Context) (rate float64, err error) {
	err = b.buying(ctx, b.shoppers, func(c *client) error {
		var next atomic.Int64
		s, _, err := b.repeat(ctx, resultShoppers, b.warm, func(ctx context.Context) (int, error) {
			return 1, c.buy(ctx, int(next.Add(1)-1))
		})
		rate = s.rate
		return err
	})
	return rate, err
}

// maxWaiting bounds the shoppers that wait at once.
const maxWaiting = 20_000

// steadyResults lets shoppers arrive at a constant rate, even if earlier ones are slow,
// and measures from the time at which each was due.
func (b *bench) steadyResults(ctx context.Context, round int, rate float64, note string) error {
	all := int(rate * (b.warm + b.seconds).Seconds())
	warm := int(rate * b.warm.Seconds()) // these open the connections
	return b.buying(ctx, all, func(c *client) error {
		n := len(c.tokens)
		if n < all {
			return fmt.Errorf("%d shoppers are too few for %d orders", n, all)
		}
		took := make([]time.Duration, n)
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(maxWaiting)
		g.Go(func() error { return b.profile(gctx, round, "result", b.fast) })
		m, began := b.meter(), time.Now()
		for i := range n {
			due := began.Add(time.Duration(float64(i) / rate * float64(time.Second)))
			if d := time.Until(due); d > time.Millisecond && loop.Pause(gctx, d) != nil {
				break
			}
			g.Go(func() error {
				err := c.buy(gctx, i)
				took[i] = time.Since(due)
				return err
			})
		}
		if err := errors.Join(g.Wait(), ctx.Err()); err != nil {
			return err
		}
		s := sample{units: float64(n)}
		s.cpu, s.foreign = m.read()
		for name, q := range map[string]float64{"result_p50_ms": 0.50, "result_p99_ms": 0.99} {
			s.rate = quantile(took[warm:], q)
			b.add(name, s, sample{})
			if r := b.row(name); r != nil {
				r.note = fmt.Sprintf("%.0f orders per second: %s", rate, note)
			}
		}
		return nil
	})
}

// quantile is in milliseconds.
func quantile(took []time.Duration, q float64) float64 {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return float64(took[min(int(q*float64(len(took))), len(took)-1)].Microseconds()) / 1000
}

// drainRate is the drain rate that this run measured; 0 if it did not.
func (b *bench) drainRate() float64 {
	for _, name := range []string{"drain_tx", "drain_bulk"} {
		if r := b.row(name); r != nil && len(r.ours) > 0 {
			return median(r.ours)
		}
	}
	return 0
}

// client buys as shoppers do, and waits for the results.
type client struct {
	http   *http.Client
	url    string
	sale   string
	tokens []string
}

// newClient returns a client with the tokens of at most so many shoppers.
func (b *bench) newClient(s *sale, most int) (*client, error) {
	c := &client{
		url: s.url, sale: s.names()[0],
		http: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 4096}},
	}
	text, err := os.ReadFile(b.tokens + "0")
	c.tokens = strings.Fields(string(text))
	c.tokens = c.tokens[:min(len(c.tokens), most)]
	return c, err
}

// buy buys as one shopper and waits for the result. It fails unless the order is
// confirmed.
func (c *client) buy(ctx context.Context, shopper int) error {
	if shopper >= len(c.tokens) {
		return fmt.Errorf("there are only %d shoppers", len(c.tokens))
	}
	var o struct {
		ID     string `json:"id"`
		Status string `json:"status"`
		Done   bool   `json:"done"`
	}
	path := "/v1/sales/" + c.sale + "/orders"
	if err := c.call(ctx, http.MethodPost, path, `{"quantity":1}`, shopper, &o); err != nil {
		return err
	}
	for !o.Done {
		if err := c.call(ctx, http.MethodGet, "/v1/orders/"+o.ID+"?wait=20s", "", shopper, &o); err != nil {
			return err
		}
	}
	if o.Status != "confirmed" {
		return fmt.Errorf("order %s is %s", o.ID, o.Status)
	}
	return nil
}

func (c *client) call(ctx context.Context, method, path, body string, shopper int, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.tokens[shopper])
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusAccepted {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	return json.Unmarshal(text, into)
}
