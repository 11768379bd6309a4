package mysql_test

import (
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/internal/testenv"
	"seckill/order"
	"seckill/order/mysql"
)

// Not parallel: it breaks the connections of all.
func TestOrdersArePaidAndCancelledOnceThoughConnectionsBreakAroundCommit(t *testing.T) {
	testenv.MySQLs(t, func(t *testing.T, db *sql.DB) {
		const orders = 120
		store := newStore(db)
		sale, err := store.CreateSale(t.Context(), order.Sale{
			ID: testenv.SaleID(), Title: "sale", PriceMinor: 5, Currency: "CNY", Total: orders, OrdersPerShopper: 1, UnitsPerOrder: 1,
			StartsAt: time.Now(), EndsAt: time.Now().Add(time.Hour), PayWithin: time.Second,
		})
		require.NoError(t, err)
		var batch []order.Order
		for i := range orders {
			batch = append(batch, order.Order{ID: order.ID(testenv.SaleID()), SaleID: sale.ID, ShopperID: fmt.Sprint("s", i), Quantity: 1})
		}
		_, err = store.Settle(t.Context(), batch)
		require.NoError(t, err)

		dialer.every.Store(3)
		defer dialer.every.Store(0)
		outcomes := make([]order.Outcome, orders)
		var wg sync.WaitGroup
		for i, o := range batch {
			wg.Go(func() {
				switch i % 3 {
				case 0:
					p := order.Payment{EventID: o.ID.String(), OrderID: o.ID, AmountMinor: 5, Currency: "CNY"}
					again(t, func() error { r, err := store.Pay(t.Context(), p); outcomes[i] = r.Outcome; return err })
				case 1:
					again(t, func() error { _, err := store.Cancel(t.Context(), o.ID); return err })
				default:
					again(t, func() error { _, err := store.Expire(t.Context(), sale.ID, 0); return err })
				}
			})
		}
		wg.Wait()
		unpaid := true
		for until := time.Now().Add(10 * time.Second); unpaid && time.Now().Before(until); {
			again(t, func() error { _, err := store.Expire(t.Context(), sale.ID, 0); return err })
			unpaid, err = store.Unpaid(t.Context(), sale.ID)
			require.NoError(t, err)
		}
		dialer.every.Store(0)

		tally, err := store.Tally(t.Context(), sale.ID)
		require.NoError(t, err)
		paid := int64(0)
		for _, o := range outcomes {
			if o == order.OutcomePaid {
				paid++
			}
		}
		require.Equal(t, map[order.Status]int64{order.StatusPaid: paid, order.StatusCancelled: orders - paid}, tally.Orders,
			"an order is paid if its payment was answered with paid, and no other is")
		require.EqualValues(t, orders-paid, tally.Sale.Available)
		requireLogged(t, store, sale.ID, tally)
	})
}

// requireLogged: each order's change stands in the log once, in a row of seqs.
func requireLogged(t *testing.T, store *mysql.Store, saleID int64, tally order.Tally) {
	t.Helper()
	cs, err := store.Changes(t.Context(), saleID, 0, 1000)
	require.NoError(t, err)
	require.Len(t, cs, int(tally.Sale.Seq))
	logged := map[order.Status]int64{}
	for _, c := range cs {
		for _, v := range c.Verdicts {
			logged[v.Status]++
		}
	}
	delete(logged, order.StatusConfirmed)
	require.Equal(t, tally.Orders, logged)
}

// again calls fn until it succeeds or refuses.
func again(t *testing.T, fn func() error) {
	t.Helper()
	for range 100 {
		if err := fn(); err == nil || errors.Is(err, order.ErrConflict) {
			return
		}
	}
	t.Error("100 calls failed")
}
