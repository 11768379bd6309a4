package audit_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"seckill/audit"
	"seckill/internal/testenv"
	"seckill/order"
	"seckill/order/memory"
	"seckill/order/mysql"
	"seckill/order/storetest"
	queuememory "seckill/queue/memory"
	"seckill/reconcile"
	"seckill/stock"
)

// shortGrace saves the tests most of the 5 s.
const shortGrace = 1500 * time.Millisecond

// fixture is a sale that a Background audits, in a store and a Redis.
type fixture struct {
	*testing.T
	store   storetest.Store
	rdb     redis.UniversalClient
	ledger  *stock.Ledger
	loader  *reconcile.Loader
	auditor *audit.Background
	reg     *prometheus.Registry
	sale    order.Sale
	ids     int64
	log     *testenv.Logs
}

// onBoth runs a test on the in-memory store and miniredis and on the real servers.
func onBoth(t *testing.T, test func(b *fixture)) {
	t.Helper()
	t.Parallel()
	t.Run("in memory", func(t *testing.T) {
		t.Parallel()
		test(newFixture(t, memory.NewStore(), testenv.Miniredis(t)))
	})
	t.Run("servers", func(t *testing.T) {
		t.Parallel()
		test(newFixture(t, mysql.NewStore(testenv.MySQL(t), slog.New(slog.DiscardHandler)), testenv.Redis(t)))
	})
}

func newFixture(t *testing.T, store storetest.Store, rdb redis.UniversalClient) *fixture {
	t.Helper()
	b := &fixture{T: t, store: store, rdb: rdb, ledger: stock.New(rdb), reg: prometheus.NewRegistry(), log: &testenv.Logs{}}
	log := slog.New(slog.NewTextHandler(b.log, nil))
	b.loader = reconcile.NewLoader(store, store, b.ledger, queuememory.NewQueue(), log)
	b.auditor = audit.NewBackground(store, b.ledger, shortGrace, b.reg, log)
	// Made two minutes ago, as are the orders: nothing is young here.
	b.ids = int64(b.now()) - 120_000<<22
	sale, err := store.CreateSale(t.Context(), order.Sale{
		ID: b.ids, Title: "t", Currency: "CNY", Total: 100, OrdersPerShopper: 2, UnitsPerOrder: 5,
		StartsAt: time.Now().Add(-time.Hour).UTC(), EndsAt: time.Now().Add(time.Hour).UTC(), PayWithin: time.Minute,
	})
	require.NoError(t, err)
	b.sale, err = store.SetSaleState(t.Context(), fmt.Sprint("open-", sale.ID), sale.ID, order.SaleOpen)
	require.NoError(t, err)
	require.NoError(t, b.loader.Load(t.Context(), sale.ID))
	t.Cleanup(func() { _ = b.ledger.Unload(context.Background(), sale.ID) })
	return b
}

// now is an ID of this moment.
func (b *fixture) now() order.ID {
	b.Helper()
	id, err := order.NewIDMaker(rand.Int64N(8000)).Next()
	require.NoError(b, err)
	return id
}

func (b *fixture) reserve(shopper string) order.Order {
	b.Helper()
	b.ids++
	o := order.Order{ID: order.ID(b.ids), SaleID: b.sale.ID, ShopperID: shopper, Quantity: 1}
	rs, err := b.ledger.Reserve(b.Context(), b.sale.ID, stock.Purchases(o))
	require.NoError(b, err)
	require.NoError(b, rs[0].Err)
	o.Slot = rs[0].Slot
	return o
}

func (b *fixture) Settle(ctx context.Context, os []order.Order) error {
	vs, err := b.store.Settle(ctx, os)
	if err != nil {
		return err
	}
	return b.ledger.Apply(ctx, order.Changes(vs))
}

// buy is a confirmed order that both stores know.
func (b *fixture) buy(shopper string) order.Order {
	b.Helper()
	o := b.reserve(shopper)
	require.NoError(b, b.Settle(b.Context(), []order.Order{o}))
	return o
}

func (b *fixture) cancel(o order.Order) {
	b.Helper()
	v, err := b.store.Cancel(b.Context(), o.ID)
	require.NoError(b, err)
	require.NoError(b, b.ledger.Apply(b.Context(), order.Changes([]order.Verdict{v})))
}

func (b *fixture) key(k string) string { return fmt.Sprintf("seckill:{%d}:%s", b.sale.ID, k) }

// tamper puts another entry in the place of an order's, and moves a unit
// between the counters.
func (b *fixture) tamper(o order.Order, entry, from, to string) {
	b.Helper()
	require.NoError(b, b.rdb.HSet(b.Context(), b.key("o"), o.ShopperID, entry).Err())
	if from != "" {
		require.NoError(b, b.rdb.HIncrBy(b.Context(), b.key("m"), from, -1).Err())
		require.NoError(b, b.rdb.HIncrBy(b.Context(), b.key("m"), to, 1).Err())
	}
}

func (b *fixture) entry(o order.Order) string {
	b.Helper()
	text, err := b.rdb.HGet(b.Context(), b.key("o"), o.ShopperID).Result()
	require.NoError(b, err)
	return text
}

func (b *fixture) units() string {
	b.Helper()
	ms, err := b.ledger.Metas(b.Context(), []int64{b.sale.ID})
	require.NoError(b, err)
	m := ms[0]
	return fmt.Sprintf("available %d pending %d settled %d", m.Available, m.Pending, m.Settled)
}

func (b *fixture) scan() {
	b.Helper()
	require.NoError(b, b.auditor.Scan(b.Context(), b.sale.ID))
}

// metric is the value of a series, or -1 where there is none.
func (b *fixture) metric(name, label string) float64 {
	b.Helper()
	families, err := b.reg.Gather()
	require.NoError(b, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (label == "" || m.GetLabel()[0].GetValue() == label) {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return -1
}

func (b *fixture) found(kind string) int { return int(b.metric("seckill_audit_discrepancies", kind)) }

// audit is the command's.
func (b *fixture) audit() []audit.Discrepancy {
	b.Helper()
	a := audit.NewAuditor(b.store, b.ledger, shortGrace)
	as, err := a.Audit(b.Context(), b.sale.ID)
	require.NoError(b, err)
	return as[0].Discrepancies
}

func TestAScanReplaysTheVerdictsThatRedisMissed(t *testing.T) {
	onBoth(t, func(b *fixture) {
		for i := range 5 {
			b.buy(fmt.Sprint("well-", i))
		}
		confirmed, cancelled, gone := b.buy("a"), b.buy("b"), b.buy("c")
		b.cancel(cancelled)
		b.cancel(gone)
		require.Equal(b, "available 94 pending 0 settled 6", b.units())
		b.tamper(confirmed, fmt.Sprintf("P%d,0,1", confirmed.ID), "settled", "pending")
		b.tamper(cancelled, fmt.Sprintf("S%d,0,1", cancelled.ID), "available", "settled")
		b.tamper(gone, fmt.Sprintf("P%d,0,1", gone.ID), "available", "pending")
		lost := b.reserve("d") // its message is lost, and so is its place in line
		require.NoError(b, b.rdb.Del(b.Context(), b.key("d")).Err())

		b.scan()
		require.Equal(b, "available 93 pending 1 settled 6", b.units())
		require.Equal(b, fmt.Sprintf("S%d,0,1", confirmed.ID), b.entry(confirmed))
		require.Equal(b, fmt.Sprintf("C%d,-,1", cancelled.ID), b.entry(cancelled))
		require.Equal(b, fmt.Sprintf("C%d,-,1", gone.ID), b.entry(gone))
		require.Equal(b, []int{2, 1, 1}, []int{b.found(audit.KindVerdict), b.found(audit.KindCancelled), b.found(audit.KindOverdue)})
		require.InDelta(b, 3, b.metric("seckill_audit_healed_total", ""), 0)
		require.InDelta(b, time.Now().Unix(), b.metric("seckill_audit_last_success_timestamp_seconds", ""), 60)
		require.Contains(b, b.log.String(), fmt.Sprintf("verdict replayed to Redis\" sale_id=%d order_id=%d", b.sale.ID, confirmed.ID))

		due, err := b.ledger.Due(b.Context(), b.sale.ID, 10)
		require.NoError(b, err)
		require.Equal(b, []order.Order{lost}, due, "the sweeper gets it")
		require.NoError(b, b.Settle(b.Context(), due))
		require.Equal(b, "available 93 pending 0 settled 7", b.units())
		b.scan()
		require.Zero(b, b.found(audit.KindVerdict))
		require.Empty(b, b.audit())
	})
}

func TestAScanListsWhatNoReplayHealsAndLeavesItAlone(t *testing.T) {
	onBoth(t, func(b *fixture) {
		for i := range 5 {
			b.buy(fmt.Sprint("well-", i))
		}
		unknown, back, differs := b.buy("a"), b.buy("b"), b.buy("c")
		require.NoError(b, b.rdb.HDel(b.Context(), b.key("o"), "a").Err())
		b.tamper(back, fmt.Sprintf("R%d,-,1", back.ID), "settled", "available")
		b.tamper(differs, fmt.Sprintf("S%d,1,1", differs.ID), "", "")
		b.ids++
		ghost := order.Order{ID: order.ID(b.ids), ShopperID: "ghost"}
		b.tamper(ghost, fmt.Sprintf("S%d,0,1", ghost.ID), "available", "settled")
		before := b.units()

		b.scan()
		for _, kind := range []string{audit.KindUnknown, audit.KindGivenBack, audit.KindDiffers, audit.KindNoRow} {
			require.Equal(b, 1, b.found(kind), kind)
		}
		require.Zero(b, b.metric("seckill_audit_healed_total", ""))
		require.Equal(b, before, b.units(), "no counter was set")
		require.Contains(b, b.log.String(), fmt.Sprintf("order_id=%d kind=%s", unknown.ID, audit.KindUnknown))
		require.Contains(b, b.log.String(), fmt.Sprintf("`seckill rebuild %d`", b.sale.ID))

		listed := map[string]string{}
		for _, d := range b.audit() {
			listed[d.Kind] = d.OrderID
		}
		require.Equal(b, map[string]string{
			audit.KindUnknown: unknown.ID.String(), audit.KindGivenBack: back.ID.String(),
			audit.KindDiffers: differs.ID.String(), audit.KindNoRow: ghost.ID.String(),
		}, listed)
	})
}

func TestAScanLeavesAloneWhatIsUnderWay(t *testing.T) {
	onBoth(t, func(b *fixture) {
		a, late := b.buy("a"), b.reserve("b")
		vs, err := b.store.Settle(b.Context(), []order.Order{late})
		require.NoError(b, err)
		young := a
		young.ID, young.ShopperID = b.now(), "young"
		b.tamper(young, fmt.Sprintf("S%d,0,1", young.ID), "", "") // would be one without a row
		done := make(chan struct{})
		go func() {
			defer close(done)
			time.Sleep(shortGrace / 2)
			_ = b.ledger.Apply(context.Background(), order.Changes(vs))
		}()
		b.scan()
		<-done
		for _, kind := range []string{audit.KindVerdict, audit.KindNoRow} {
			require.Zero(b, b.found(kind), kind)
		}
	})
}

func TestAnOrderThatTheTailHasYetToApplyIsNoDiscrepancyOfItsOwn(t *testing.T) {
	onBoth(t, func(b *fixture) {
		o := b.reserve("a")
		_, err := b.store.Settle(b.Context(), []order.Order{o})
		require.NoError(b, err)
		require.NoError(b, b.rdb.HDel(b.Context(), b.key("o"), "a").Err()) // Redis came back older
		require.NoError(b, b.rdb.HSet(b.Context(), b.key("m"), "available", 100, "pending", 0).Err())
		b.scan()
		require.Zero(b, b.found(audit.KindUnknown))
		ds := b.audit()
		require.Len(b, ds, 1, "the cursor says it all: %v", ds)
		require.Equal(b, audit.KindCursor, ds[0].Kind)
	})
}

func TestASaleThatIsLoadedAgainDuringAScanIsNotJudged(t *testing.T) {
	onBoth(t, func(b *fixture) {
		b.buy("a")
		require.NoError(b, b.rdb.HDel(b.Context(), b.key("o"), "a").Err())
		go func() {
			time.Sleep(shortGrace / 3)
			_ = b.ledger.Unload(context.Background(), b.sale.ID)
			_ = b.loader.Load(context.Background(), b.sale.ID)
		}()
		b.scan()
		require.Zero(b, b.found(audit.KindUnknown))
		require.Contains(b, b.log.String(), "loaded again")
		require.Empty(b, b.audit())
	})
}

func TestTheBackgroundAuditFindsCountersThatDoNotAddUp(t *testing.T) {
	onBoth(t, func(b *fixture) {
		b.buy("a")
		b.reserve("b")
		step := func() { require.NoError(b, b.auditor.Step(b.Context())) }
		step()

		require.NoError(b, b.rdb.HIncrBy(b.Context(), b.key("m"), "available", 1).Err())
		step()
		require.Zero(b, b.found(audit.KindCounters), "seen once is no discrepancy")
		time.Sleep(shortGrace)
		step()
		require.Equal(b, 1, b.found(audit.KindCounters))
		step()
		require.Equal(b, 1, strings.Count(b.log.String(), "does not add up"), "logged once: %s", b.log.String())
		require.NoError(b, b.rdb.HIncrBy(b.Context(), b.key("m"), "available", -1).Err())
		step()
		require.Zero(b, b.found(audit.KindCounters))
		require.Contains(b, b.log.String(), "adds up again")

		require.NoError(b, b.rdb.HSet(b.Context(), b.key("m"), "settled", 101, "available", -2).Err())
		step()
		require.InDelta(b, 1, b.metric("seckill_oversold_units", ""), 0)

		b.auditor.Wait()
		for _, to := range []order.SaleState{order.SaleEnded, order.SaleClosed} {
			_, err := b.store.SetSaleState(b.Context(), fmt.Sprint(to, b.sale.ID), b.sale.ID, to)
			require.NoError(b, err)
		}
		step()
		require.Zero(b, b.metric("seckill_oversold_units", ""), "what was found in a closed sale is dropped")
	})
}

func TestTheBackgroundAuditOfOneProcessScansASale(t *testing.T) {
	onBoth(t, func(b *fixture) {
		b.buy("a")
		for range 3 {
			p := audit.NewBackground(b.store, b.ledger, audit.Grace, prometheus.NewRegistry(), slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
			require.NoError(b, p.Step(b.Context()))
			require.NoError(b, p.Step(b.Context()))
			p.Wait()
		}
		require.Equal(b, 1, strings.Count(b.log.String(), "scan done"))
	})
}

func TestDeadLettersAreCountedAsTheyAreKept(t *testing.T) {
	onBoth(t, func(b *fixture) {
		letter := order.DeadLetter{MessageID: "AC11", SaleID: b.sale.ID, Reason: "unreadable"}
		counted := func(kind string) float64 {
			require.NoError(b, b.auditor.Step(b.Context()))
			b.auditor.Wait()
			return b.metric("seckill_dead_letters", kind)
		}
		for range 3 { // delivered again and again
			require.NoError(b, b.store.AddDeadLetter(b.Context(), letter))
			require.InDelta(b, 1, counted("message"), 0)
		}
		require.NoError(b, b.store.DiscardAs(b.Context(), order.Operator{}, "", letter))
		require.InDelta(b, 0, counted("message"), 0)

		o := b.buy("ann")
		o.ShopperID = "bob" // two orders of one ID
		_, err := b.store.Settle(b.Context(), []order.Order{o})
		require.NoError(b, err)
		require.InDelta(b, 1, counted("verdict"), 0)
		require.InDelta(b, 0, counted("message"), 0)
	})
}

func TestTwoOrdersOfOneIDAreNotMistakenForEachOther(t *testing.T) {
	onBoth(t, func(b *fixture) {
		ann := b.reserve("ann")
		b.ids--
		bob := b.buy("bob")
		require.Equal(b, ann.ID, bob.ID)
		_, err := b.store.Settle(b.Context(), []order.Order{ann}) // refused, and Redis is not logged
		require.NoError(b, err)
		b.scan()
		require.Equal(b, 1, b.found(audit.KindVerdict))
		require.Equal(b, 0, b.found(audit.KindNoRow))
		require.Contains(b, b.entry(ann), "R")
		require.Contains(b, b.entry(bob), "S")
	})
}
