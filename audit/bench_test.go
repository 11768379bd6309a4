package audit_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"seckill/audit"
	"seckill/internal/testenv"
	"seckill/order"
	"seckill/order/mysql"
	queuememory "seckill/queue/memory"
	"seckill/reconcile"
	"seckill/stock"
)

// large is a sale of so many orders, in MySQL and in Redis.
const large = 500_000

// BenchmarkReserveDuringAScan is what the audit costs shoppers: the time of a
// reservation at 2,000 a second in a sale of 500,000 orders, in seconds with and
// without a scan going on, by turns, so that whatever else the machine does
// falls on both. It also reports how long loading the sale and a scan take.
//
//	go test -run '^$' -bench ReserveDuringAScan -benchtime 1x ./audit
func BenchmarkReserveDuringAScan(b *testing.B) {
	db := testenv.MySQL(b)
	store, ledger := mysql.NewStore(db, slog.New(slog.DiscardHandler)), stock.New(testenv.Redis(b))
	sale := fill(b, db, store)
	loader := reconcile.NewLoader(store, store, ledger, queuememory.NewQueue(), slog.New(slog.DiscardHandler))
	b.Cleanup(func() { _ = ledger.Unload(context.Background(), sale.ID) })
	measure := func(name string, fn func() error) {
		start := time.Now()
		require.NoError(b, fn())
		b.ReportMetric(time.Since(start).Seconds(), name)
	}
	b.ResetTimer()
	measure("load-s", func() error { return loader.Load(b.Context(), sale.ID) })
	gate := &gated{Ledger: ledger}
	auditor := audit.NewBackground(store, gate, audit.Grace, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	measure("scan-s", func() error { return auditor.Scan(b.Context(), sale.ID) })

	gate.Lock()
	ctx, stop := context.WithCancel(b.Context())
	var scans sync.WaitGroup
	scans.Go(func() {
		for ctx.Err() == nil {
			_ = auditor.Scan(ctx, sale.ID)
		}
	})
	p50, p99 := map[string][]time.Duration{}, map[string][]time.Duration{}
	second := func(name string) {
		took := reserveAtPace(b, ledger, sale.ID)
		slices.Sort(took)
		p50[name] = append(p50[name], took[len(took)/2])
		p99[name] = append(p99[name], took[len(took)*99/100])
	}
	for range 30 {
		second("alone")
		gate.Unlock()
		second("audited")
		gate.Lock()
	}
	stop()
	gate.Unlock()
	scans.Wait()
	for _, name := range []string{"alone", "audited"} { // the median second
		for label, of := range map[string][]time.Duration{"p50": p50[name], "p99": p99[name]} {
			slices.Sort(of)
			b.ReportMetric(float64(of[len(of)/2].Microseconds()), name+"-"+label+"-µs")
		}
	}
}

// gated lets a scan go on only while nobody holds the lock.
type gated struct {
	*stock.Ledger
	sync.RWMutex
}

func (g *gated) Scan(ctx context.Context, saleID int64, cursor uint64, count int64) ([]stock.Entry, uint64, error) {
	g.RLock()
	defer g.RUnlock()
	return g.Ledger.Scan(ctx, saleID, cursor, count)
}

func (g *gated) EntriesOf(ctx context.Context, saleID int64, shoppers []string) ([]stock.Entry, error) {
	g.RLock()
	defer g.RUnlock()
	return g.Ledger.EntriesOf(ctx, saleID, shoppers)
}

// reserveAtPace makes reservations for a second, 2,000 of them, and returns the
// time that each took from when it was due.
func reserveAtPace(b *testing.B, ledger *stock.Ledger, saleID int64) []time.Duration {
	c := stock.NewCollector(ledger, stock.CollectorOptions{})
	defer c.Close()
	ids := order.NewIDMaker(rand.Int64N(8000))
	took := make([]time.Duration, 2000)
	var wg sync.WaitGroup
	begin := time.Now()
	const shoppers = 64
	for s := range shoppers {
		wg.Go(func() {
			for i := s; i < len(took); i += shoppers {
				due := begin.Add(time.Duration(i) * time.Second / 2000)
				time.Sleep(time.Until(due))
				id, err := ids.Next()
				if err == nil {
					_, err = c.Reserve(b.Context(), order.Order{ID: id, SaleID: saleID, ShopperID: id.String(), Quantity: 1})
				}
				if err != nil {
					b.Error(err)
					return
				}
				took[i] = time.Since(due)
			}
		})
	}
	wg.Wait()
	return took
}

// fill makes an open sale with its orders in MySQL.
func fill(b *testing.B, db *sql.DB, store *mysql.Store) order.Sale {
	first, err := order.NewIDMaker(1).Next()
	require.NoError(b, err)
	first -= order.ID(time.Hour.Milliseconds()) << 22
	sale, err := store.CreateSale(b.Context(), order.Sale{
		ID: int64(first), Title: "large", Currency: "CNY", Total: 4 * large, OrdersPerShopper: 1, UnitsPerOrder: 1,
		StartsAt: time.Now().Add(-time.Hour), EndsAt: time.Now().Add(time.Hour), PayWithin: time.Hour,
	})
	require.NoError(b, err)
	sale, err = store.SetSaleState(b.Context(), "open", sale.ID, order.SaleOpen)
	require.NoError(b, err)
	for n := 1; n <= large; n += 1000 {
		rows := make([]string, 1000)
		for i := range rows {
			rows[i] = fmt.Sprintf("(%d,%d,'shopper-%d',0,1,1,1,'confirmed','',1,0,'',NOW(3),NOW(3),NOW(3))", int64(first)+int64(n+i)<<10, sale.ID, n+i)
		}
		_, err := db.ExecContext(b.Context(), `INSERT INTO orders (id, sale_id, shopper_id, slot, live, quantity, unit_price, status, reason,
			attempt, idem_key, reference, created_at, decided_at, pay_by) VALUES `+strings.Join(rows, ","))
		require.NoError(b, err)
	}
	_, err = db.ExecContext(b.Context(), `UPDATE sales SET available = available - ? WHERE id = ?`, large, sale.ID)
	require.NoError(b, err)
	return sale
}
