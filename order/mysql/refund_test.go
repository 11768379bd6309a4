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

// confirmedOrder makes a sale with a confirmed order.
func confirmedOrder(t *testing.T, db *sql.DB) order.Order {
	t.Helper()
	store := newStore(db)
	sale, err := store.CreateSale(t.Context(), order.Sale{
		ID: testenv.SaleID(), Title: "sale", PriceMinor: 5, Currency: "CNY", Total: 2, OrdersPerShopper: 1, UnitsPerOrder: 1,
		StartsAt: time.Now(), EndsAt: time.Now().Add(time.Hour), PayWithin: time.Minute,
	})
	require.NoError(t, err)
	o := order.Order{ID: order.ID(testenv.SaleID()), SaleID: sale.ID, ShopperID: "a", Quantity: 1}
	_, err = store.Settle(t.Context(), []order.Order{o})
	require.NoError(t, err)
	return o
}

// as the version before records a payment.
const insertAsBefore = `INSERT INTO payments (event_id, order_id, amount_minor, currency, outcome, received_at)
	VALUES (?, ?, 5, 'CNY', ?, NOW(3)) ON DUPLICATE KEY UPDATE event_id = payments.event_id`

func TestPaymentsThatTheVersionBeforeRecordedAreFilledIn(t *testing.T) {
	t.Parallel()
	testenv.MySQLs(t, func(t *testing.T, db *sql.DB) {
		t.Parallel()
		store, o := newStore(db), confirmedOrder(t, db)
		_, err := store.Cancel(t.Context(), o.ID)
		require.NoError(t, err)
		for event, outcome := range map[string]order.Outcome{"late": order.OutcomeRefundRequired, "paid": order.OutcomePaid} {
			_, err := db.ExecContext(t.Context(), insertAsBefore, event, int64(o.ID), string(outcome))
			require.NoError(t, err)
		}
		_, err = db.ExecContext(t.Context(), insertAsBefore, "lost", 7, "paid") // its order was deleted by hand
		require.NoError(t, err)
		due, err := store.Payments(t.Context(), order.PaymentQuery{RefundDue: true, Limit: 10})
		require.NoError(t, err)
		require.Len(t, due, 1, "it is listed at once")

		for _, want := range []int{3, 0} {
			n, err := store.AdoptPayments(t.Context())
			require.NoError(t, err)
			require.Equal(t, want, n)
		}
		ps, err := store.Payments(t.Context(), order.PaymentQuery{SaleID: o.SaleID, ShopperID: "a", Limit: 10})
		require.NoError(t, err)
		reasons := map[string]order.RefundReason{}
		for _, p := range ps {
			reasons[p.EventID] = p.Reason
		}
		require.Equal(t, map[string]order.RefundReason{"late": order.RefundCancelled, "paid": ""}, reasons)
	})
}

// TestAPageOfPaymentsReadsNoMoreThanItself counts the rows that the server reads for a
// page in a table of some thousand payments.
func TestAPageOfPaymentsReadsNoMoreThanItself(t *testing.T) {
	t.Parallel()
	testenv.MySQLs(t, func(t *testing.T, db *sql.DB) {
		t.Parallel()
		store := newStore(db)
		for i := range 3000 {
			_, err := db.ExecContext(t.Context(), `INSERT INTO payments (event_id, order_id, sale_id, shopper_id, amount_minor, currency, outcome, received_at)
				VALUES (?, ?, ?, ?, 5, 'CNY', ?, NOW(3) - INTERVAL ? SECOND)`, fmt.Sprint("evt-", i), 1+i, 1+i%5, fmt.Sprint("s", i%50),
				[]order.Outcome{order.OutcomePaid, order.OutcomeRefundRequired}[i/5%10/9], i%100)
			require.NoError(t, err)
		}
		db.SetMaxOpenConns(1) // the counters are of a connection
		for name, q := range map[string]order.PaymentQuery{
			"all": {}, "of a sale": {SaleID: 3}, "of a shopper": {ShopperID: "s3"}, "of an order": {OrderID: 5}, "to refund": {RefundDue: true},
		} {
			q.Limit = 20
			page, err := store.Payments(t.Context(), q)
			require.NoError(t, err)
			q.Before = page[len(page)/2].EventID
			before := rowsRead(t, db)
			page, err = store.Payments(t.Context(), q)
			require.NoError(t, err)
			require.LessOrEqual(t, rowsRead(t, db)-before, 2*len(page)+60, name)
		}
	})
}

func rowsRead(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SHOW SESSION STATUS WHERE Variable_name IN
		('Handler_read_first', 'Handler_read_key', 'Handler_read_last', 'Handler_read_next', 'Handler_read_prev', 'Handler_read_rnd', 'Handler_read_rnd_next')`)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var name string
		var value int
		require.NoError(t, rows.Scan(&name, &value))
		n += value
	}
	require.NoError(t, rows.Err())
	return n
}
