package main

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"seckill/order"
	"seckill/stock"
)

// reserveCallers is how many purchases are in progress at once.
const reserveCallers = 256

// reserving measures the collector alone, and as its baseline redis-benchmark, which
// calls the same script with one order.
func (b *bench) reserving(ctx context.Context) error {
	ours, err := b.collect(ctx)
	if err != nil {
		return fmt.Errorf("reserve: %w", err)
	}
	base, err := b.redisBenchmark(ctx)
	if err != nil {
		return fmt.Errorf("reserve, baseline: %w", err)
	}
	b.add("reserve", ours, base)
	return nil
}

// loadSale puts a sale into Redis that is not in MySQL.
func (b *bench) loadSale(ctx context.Context) (order.Sale, error) {
	id, err := order.NewIDMaker(0).Next()
	if err != nil {
		return order.Sale{}, err
	}
	now := time.Now()
	s := order.Sale{
		ID: int64(id), Title: "benchmark", Currency: "CNY", Total: 1e9, Available: 1e9, OrdersPerShopper: 1, UnitsPerOrder: 1,
		StartsAt: now.Add(-time.Minute), EndsAt: now.Add(time.Hour), PayWithin: time.Hour, State: order.SaleOpen, Epoch: 1,
	}
	ld, err := b.fast.ledger.Begin(ctx, s)
	if err == nil {
		err = ld.Finish(ctx, s)
	}
	return s, err
}

// collect measures reservations through the collector.
func (b *bench) collect(ctx context.Context) (sample, error) {
	l := b.fast.ledger
	sl, err := b.loadSale(ctx)
	if err != nil {
		return sample{}, err
	}
	c := stock.NewCollector(l, stock.CollectorOptions{})
	ids := order.NewIDMaker(1)
	s, all, err := b.repeat(ctx, reserveCallers, b.warm, func(ctx context.Context) (int, error) { return 1, reserveOne(ctx, c, ids, sl.ID) })
	c.Close()
	ms, merr := l.Metas(ctx, []int64{sl.ID})
	if merr == nil && ms[0].Pending != all {
		err = errors.Join(err, fmt.Errorf("%w: %d units pending after %d reservations", errBroken, ms[0].Pending, all))
	}
	return s, errors.Join(err, merr, l.Unload(ctx, sl.ID))
}

func reserveOne(ctx context.Context, c *stock.Collector, ids *order.IDMaker, saleID int64) error {
	id, err := ids.Next()
	if err != nil {
		return err
	}
	r, err := c.Reserve(ctx, stock.Purchase{Order: order.Order{ID: id, SaleID: saleID, ShopperID: id.String(), Quantity: 1}, Attempts: 3})
	return errors.Join(err, r.Err)
}

var perSecondRE = regexp.MustCompile(`([0-9.]+) requests per second`)

// redisBenchmark calls the same script, with one order and one call at a time on each
// connection.
func (b *bench) redisBenchmark(ctx context.Context) (sample, error) {
	l := b.fast.ledger
	sl, err := b.loadSale(ctx)
	if err != nil {
		return sample{}, err
	}
	sha, err := b.reserveScript(ctx)
	if err != nil {
		return sample{}, err
	}
	key := fmt.Sprintf("seckill:{%d}:", sl.ID)
	host, port := "127.0.0.1", b.fast.srv.rdb.Options().Addr[len("127.0.0.1:"):]
	call := func(n int) (float64, error) {
		out, err := exec.CommandContext(ctx, "redis-benchmark", "-h", host, "-p", port, "-P", "1", "-c", "50", "-q",
			"-n", strconv.Itoa(n), "-r", "2000000000", "EVALSHA", sha, "3", key+"m", key+"o", key+"d",
			"30000", "__rand_int__", "__rand_int__", "1", "", "3").CombinedOutput()
		m := perSecondRE.FindSubmatch(out)
		if err != nil || m == nil {
			return 0, fmt.Errorf("redis-benchmark: %w: %s", err, out)
		}
		return strconv.ParseFloat(string(m[1]), 64)
	}
	rate, err := call(20_000) // to learn how many fill a measurement
	if err != nil {
		return sample{}, err
	}
	m := b.meter()
	n := int(rate * b.seconds.Seconds())
	s := sample{units: float64(n)}
	s.rate, err = call(n)
	s.cpu, s.foreign = m.read()
	ms, merr := l.Metas(ctx, []int64{sl.ID})
	if merr == nil && ms[0].Pending < int64(n)*99/100 { // two random shoppers may be the same
		err = errors.Join(err, fmt.Errorf("redis-benchmark reserved %d units in %d calls: not the same work", ms[0].Pending, n))
	}
	return s, errors.Join(err, merr, l.Unload(ctx, sl.ID))
}

// reserveScript returns the digest under which Redis has the reserve script. The
// collector has used it, so it is the same script or missing.
func (b *bench) reserveScript(ctx context.Context) (string, error) {
	h := sha1.New()
	for _, name := range []string{"entry.lua", "reserve.lua"} {
		text, err := os.ReadFile(filepath.Join(b.root, "stock", name))
		if err != nil {
			return "", err
		}
		h.Write(text)
	}
	sha := hex.EncodeToString(h.Sum(nil))
	known, err := b.fast.srv.rdb.ScriptExists(ctx, sha).Result()
	if err == nil && !known[0] {
		err = errors.New("redis does not know the reserve script of this source: seckill is another build")
	}
	return sha, err
}
