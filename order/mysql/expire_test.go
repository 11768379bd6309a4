package mysql_test

import (
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/internal/testenv"
	"seckill/order"
)

func TestAnOrderThatIsGivenMoreTimeWhileItExpiresLives(t *testing.T) {
	t.Parallel()
	testenv.MySQLs(t, func(t *testing.T, db *sql.DB) {
		t.Parallel()
		store := newStore(db)
		sale, err := store.CreateSale(t.Context(), order.Sale{
			ID: testenv.SaleID(), Title: "sale", PriceMinor: 5, Currency: "CNY", Total: 2, OrdersPerShopper: 1, UnitsPerOrder: 1,
			StartsAt: time.Now(), EndsAt: time.Now().Add(time.Hour), PayWithin: time.Second,
		})
		require.NoError(t, err)
		_, err = store.SetSaleState(t.Context(), "open", sale.ID, order.SaleOpen)
		require.NoError(t, err)
		o := order.Order{ID: order.ID(testenv.SaleID()), SaleID: sale.ID, ShopperID: "a", Quantity: 1}
		vs, err := store.Settle(t.Context(), []order.Order{o})
		require.NoError(t, err)
		time.Sleep(time.Second) // it is due

		hold, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = hold.ExecContext(t.Context(), `SELECT id FROM orders WHERE id = ? FOR UPDATE`, int64(o.ID))
		require.NoError(t, err)
		type result struct {
			e   order.Expiry
			err error
		}
		done := make(chan result, 1)
		go func() {
			e, err := store.Expire(t.Context(), sale.ID, 0)
			done <- result{e, err}
		}()
		awaitLockWait(t, db, o.ID) // the sale has been read, the orders have not been changed
		_, err = store.Operate(t.Context(), order.Operation{Command: "extend", SaleID: sale.ID, Action: order.Extending(0, time.Hour)})
		require.NoError(t, err)
		require.NoError(t, hold.Rollback())

		found := <-done
		require.NoError(t, found.err)
		require.Equal(t, order.Expiry{}, found.e, "nothing was cancelled, and the next scan begins where this one did")
		rows, err := store.Find(t.Context(), []order.ID{o.ID})
		require.NoError(t, err)
		require.Equal(t, order.StatusConfirmed, rows[0].Status)
		sale, err = store.Sale(t.Context(), sale.ID)
		require.NoError(t, err)
		require.Equal(t, []any{1, vs[0].Seq + 1}, []any{sale.Available, sale.Seq}, "the extension is the only change")
		e, err := store.Expire(t.Context(), sale.ID, 0)
		require.NoError(t, err)
		require.InDelta(t, time.Hour, e.Wait, float64(time.Minute))
	})
}

// awaitLockWait waits until an UPDATE of an order waits for a lock.
func awaitLockWait(t *testing.T, db *sql.DB, id order.ID) {
	t.Helper()
	require.Eventually(t, func() bool {
		var n int
		err := db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM information_schema.innodb_trx
			WHERE trx_state = 'LOCK WAIT' AND trx_query LIKE 'UPDATE orders%' AND trx_query LIKE ?`, fmt.Sprintf("%%%d%%", id)).Scan(&n)
		return err == nil && n == 1
	}, 3*time.Second, 200*time.Millisecond) // the server looks again only after 100 ms
}
