package mysql_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/internal/testenv"
	"seckill/order"
)

// A large batch is inserted by prepared statements, whose values travel in
// another form than those of the text that serves smaller ones.
func TestALargeBatchIsSettledAsItsOrdersAlone(t *testing.T) {
	t.Parallel()
	testenv.MySQLs(t, func(t *testing.T, db *sql.DB) {
		t.Parallel()
		for _, size := range []int{256, 203} { // one statement; 128, 64 and text
			t.Run(strconv.Itoa(size), func(t *testing.T) { t.Parallel(); asAlone(t, db, size) })
		}
	})
}

func TestStatementsArePreparedOnceForLargeBatches(t *testing.T) {
	t.Parallel()
	testenv.MySQLs(t, func(t *testing.T, db *sql.DB) {
		t.Parallel()
		db.SetMaxOpenConns(1)
		store := newStore(db)
		prepared := func() (n int) {
			var name string
			require.NoError(t, db.QueryRowContext(t.Context(), `SHOW SESSION STATUS LIKE 'Com_stmt_prepare'`).Scan(&name, &n))
			return n
		}
		before := prepared()
		require.Empty(t, store.Prepared(t.Context(), 63))
		for _, batch := range []int{64, 1000} {
			require.Equal(t, []int{256, 128, 64}, store.Prepared(t.Context(), batch))
		}
		require.Equal(t, before+3, prepared())
	})
}

func TestARefusalGivesItsConnectionBack(t *testing.T) {
	t.Parallel()
	testenv.MySQLs(t, func(t *testing.T, db *sql.DB) {
		t.Parallel()
		db.SetMaxOpenConns(1)
		store := newStore(db)
		connection := func() (id int64) {
			require.NoError(t, db.QueryRowContext(t.Context(), `SELECT CONNECTION_ID()`).Scan(&id))
			return id
		}
		sale, before := createSale(t, store, 1), connection()
		_, err := store.Operate(t.Context(), order.Operation{Command: "more", SaleID: sale.ID, Action: order.Restocking(-2)})
		require.ErrorIs(t, err, order.ErrConflict)
		require.Equal(t, before, connection())
	})
}

func asAlone(t *testing.T, db *sql.DB, size int) {
	t.Helper()
	store := newStore(db)
	full, single := createSale(t, store, size-6), createSale(t, store, size-6)
	ids := order.NewIDMaker(rand.Int64N(1 << 13))
	batch := func(saleID int64) []order.Order {
		os := make([]order.Order, size)
		for i := range os {
			id, err := ids.Next()
			require.NoError(t, err)
			os[i] = order.Order{
				ID: id, SaleID: saleID, ShopperID: fmt.Sprintf("顾客 %d'\\", i), Quantity: 1, Key: uint64(i) << 56, Reference: "\x00é",
			}
		}
		os[7].ShopperID = os[3].ShopperID // whose slot is taken
		os[9].Quantity = 99               // more than the sale allows
		return os
	}
	settle := func(os ...order.Order) (vs []order.Verdict) {
		vs, err := store.Settle(t.Context(), os)
		require.NoError(t, err)
		require.Len(t, vs, len(os))
		return vs
	}
	ours, theirs := batch(full.ID), batch(single.ID)
	settle(ours[5]) // one has its verdict already
	vs := settle(ours...)
	settle(theirs[5])
	for i, o := range theirs {
		alone := settle(o)[0]
		require.Equal(t, alone.Status, vs[i].Status, i)
		require.Equal(t, alone.Reason, vs[i].Reason, i)
		got, want := stored(t, db, ours[i].ID), stored(t, db, o.ID)
		require.Equal(t, want, got, i)
	}
	requireSold(t, db, full.ID)
	require.Equal(t, vs[10].Order, settle(ours...)[10].Order, "the same again")
	requireSold(t, db, full.ID)
}

// row is what the statement writes of an order, but for what tells it from
// others.
type row struct {
	shopper, status, reason, reference string
	live, payWithin                    sql.NullInt64
	slot, quantity                     int
	price, key                         uint64
	created                            time.Duration // after the ID's time
	decided                            bool          // just now
}

func stored(t *testing.T, db *sql.DB, id order.ID) (r row) {
	t.Helper()
	var created time.Time
	err := db.QueryRowContext(t.Context(), `SELECT shopper_id, status, reason, reference, live, TIMESTAMPDIFF(SECOND, decided_at, pay_by),
		slot, quantity, unit_price, idem_key, created_at, ABS(TIMESTAMPDIFF(SECOND, decided_at, NOW(3))) < 60 FROM orders WHERE id = ?`, int64(id)).
		Scan(&r.shopper, &r.status, &r.reason, &r.reference, &r.live, &r.payWithin, &r.slot, &r.quantity, &r.price, &r.key, &created, &r.decided)
	require.NoError(t, err)
	r.created = created.Sub(id.Time())
	return r
}
