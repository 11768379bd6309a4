package mysql_test

import (
	"bytes"
	"context"
	"database/sql"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"seckill/internal/testenv"
	"seckill/order"
	ordermysql "seckill/order/mysql"
	"seckill/order/storetest"
)

// cutter breaks connections around COMMIT, in turn: never sent; sent, and the
// answer not awaited; answered, and the answer lost.
type cutter struct {
	every    atomic.Int32 // one COMMIT in so many; none for 0
	cuts     [3]atomic.Int64
	refuse   atomic.Int32           // so many COMMITs are answered with an error, and not sent
	onInsert atomic.Pointer[func()] // called before orders are inserted
}

// dialer stands under every connection of this test binary, so that a test
// that runs alone can break those of the pool it was given.
var dialer cutter

func TestMain(m *testing.M) {
	mysql.RegisterDialContext("tcp", dialer.dial)
	m.Run()
}

func (c *cutter) dial(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &cutConn{Conn: conn, cutter: c}, nil
}

type cutConn struct {
	net.Conn

	cutter *cutter
	answer []byte // to read next, instead of the server's
}

func (c *cutConn) Read(p []byte) (int, error) {
	if len(c.answer) > 0 {
		n := copy(p, c.answer)
		c.answer = c.answer[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

func (c *cutConn) Write(p []byte) (int, error) {
	statement := p[min(len(p), 5):]
	if hook := c.cutter.onInsert.Load(); hook != nil && bytes.HasPrefix(statement, []byte("INSERT INTO orders")) {
		(*hook)()
	}
	if !bytes.Equal(statement, []byte("COMMIT")) {
		return c.Conn.Write(p)
	}
	if c.cutter.refuse.Add(-1) >= 0 {
		const message = "\xff\x0d\x0c#HY000refused" // 3085
		c.answer = append([]byte{byte(len(message)), 0, 0, 1}, message...)
		return len(p), nil
	}
	if every := c.cutter.every.Load(); every > 0 && rand.Int32N(every) == 0 {
		return c.cut(p)
	}
	return c.Conn.Write(p)
}

// cut breaks the connection at p.
func (c *cutConn) cut(p []byte) (int, error) {
	defer c.Conn.Close() // that is the fault
	kind := rand.IntN(len(c.cutter.cuts))
	c.cutter.cuts[kind].Add(1)
	if kind > 0 {
		if _, err := c.Conn.Write(p); err != nil {
			return 0, err
		}
	}
	if kind > 1 {
		_, _ = c.Conn.Read(make([]byte, 64))
	}
	return len(p), nil
}

// Not parallel: it breaks the connections of all.
func TestOrdersAreCountedOnceThoughConnectionsBreakAroundCommit(t *testing.T) {
	testenv.MySQLs(t, func(t *testing.T, db *sql.DB) {
		dialer.cuts = [3]atomic.Int64{}
		dialer.every.Store(8)
		var killing sync.WaitGroup
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		killing.Go(func() { kill(ctx, db) })
		calm := func() {
			dialer.every.Store(0)
			stop()
			killing.Wait()
		}
		defer calm()
		storetest.Hammer(t, newStore(db), storetest.Options{Rounds: 60, Limit: 3 * time.Second, Calm: calm})
		for kind := range dialer.cuts {
			require.NotZero(t, dialer.cuts[kind].Load(), "no COMMIT was cut like %d", kind)
		}
	})
}

// kill ends statements and connections to db's database, at random.
func kill(ctx context.Context, db *sql.DB) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(rand.N(60 * time.Millisecond)):
		}
		var id string
		err := db.QueryRowContext(ctx, `SELECT id FROM information_schema.processlist
			WHERE db = DATABASE() AND id <> CONNECTION_ID() ORDER BY command = 'Sleep', RAND() LIMIT 1`).Scan(&id)
		if err == nil {
			_, _ = db.ExecContext(ctx, []string{"KILL ", "KILL QUERY "}[rand.IntN(2)]+id)
		}
	}
}

// Not parallel: it breaks the connections of all.
func TestACommitWithoutAnswerIsFoundByTheRetry(t *testing.T) {
	testenv.MySQLs(t, func(t *testing.T, db *sql.DB) {
		store, sale := newStore(db), createSale(t, newStore(db), 10)
		o := order.Order{ID: order.ID(testenv.SaleID()), SaleID: sale.ID, ShopperID: "a", Quantity: 1}
		dialer.every.Store(1)
		defer dialer.every.Store(0)
		_, err := store.Settle(t.Context(), []order.Order{o})
		require.ErrorContains(t, err, "outcome unknown")
		dialer.every.Store(0)
		for range 2 {
			vs, err := store.Settle(t.Context(), []order.Order{o})
			require.NoError(t, err)
			require.Equal(t, order.StatusConfirmed, vs[0].Status)
		}
		tally, err := store.Tally(t.Context(), sale.ID)
		require.NoError(t, err)
		require.Equal(t, 9, tally.Sale.Available)
		require.Equal(t, uint64(1), tally.Sale.Seq)
	})
}

// An open transaction in the pool would be committed by the next BEGIN. Not
// parallel: it breaks the connections of all.
func TestAConnectionWhoseCommitFailedIsNotUsedAgain(t *testing.T) {
	testenv.MySQLs(t, func(t *testing.T, db *sql.DB) {
		store, sale := newStore(db), createSale(t, newStore(db), 10)
		db.SetMaxOpenConns(1)
		dialer.refuse.Store(1)
		defer dialer.refuse.Store(0)
		o := order.Order{ID: order.ID(testenv.SaleID()), SaleID: sale.ID, ShopperID: "a", Quantity: 1}
		vs, err := store.Settle(t.Context(), []order.Order{o})
		require.NoError(t, err)
		require.Equal(t, order.StatusConfirmed, vs[0].Status)
		require.NotZero(t, vs[0].Seq)
		require.Negative(t, dialer.refuse.Load(), "one COMMIT was refused")
	})
}

// Not parallel: it watches the connections of all.
func TestATransactionEndsThoughItsContextDoes(t *testing.T) {
	testenv.MySQLs(t, func(t *testing.T, db *sql.DB) {
		store, sale := newStore(db), createSale(t, newStore(db), 10)
		ctx, cancel := context.WithCancel(t.Context())
		hook := func() { cancel() }
		dialer.onInsert.Store(&hook)
		defer dialer.onInsert.Store(nil)
		o := order.Order{ID: order.ID(testenv.SaleID()), SaleID: sale.ID, ShopperID: "a", Quantity: 1}
		vs, err := store.Settle(ctx, []order.Order{o})
		require.NoError(t, err)
		require.Equal(t, order.StatusConfirmed, vs[0].Status)
		require.Error(t, ctx.Err())
		_, err = store.Settle(ctx, []order.Order{o})
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestACallThatEndsLeavesNoTransactionOpen(t *testing.T) {
	t.Parallel()
	testenv.MySQLs(t, func(t *testing.T, db *sql.DB) {
		t.Parallel()
		store, sale := newStore(db), createSale(t, newStore(db), 1000)
		for i := range 100 {
			ctx, cancel := context.WithTimeout(t.Context(), rand.N(4*time.Millisecond))
			o := order.Order{ID: order.ID(testenv.SaleID()), SaleID: sale.ID, ShopperID: "shopper" + string(rune('!'+i%90)), Quantity: 1, Key: uint64(i)}
			_, _ = store.Settle(ctx, []order.Order{o})
			cancel()
		}
		tally, err := store.Tally(t.Context(), sale.ID)
		require.NoError(t, err)
		require.EqualValues(t, tally.Sale.Total-tally.Sale.Available, tally.LiveUnits)
		changes, err := store.Changes(t.Context(), sale.ID, 0, 1000)
		require.NoError(t, err)
		require.Len(t, changes, int(tally.Sale.Seq))
		require.Len(t, changes, int(tally.Orders[order.StatusConfirmed]+tally.Orders[order.StatusRejected]))
		require.Zero(t, db.Stats().InUse)
	})
}

// createSale makes one order per shopper and five units an order possible.
func createSale(tb testing.TB, store *ordermysql.Store, units int) order.Sale {
	tb.Helper()
	sale, err := store.CreateSale(tb.Context(), order.Sale{
		ID: testenv.SaleID(), Title: "sale", Currency: "CNY", Total: units, OrdersPerShopper: 1, UnitsPerOrder: 5,
		StartsAt: time.Now(), EndsAt: time.Now().Add(time.Hour), PayWithin: time.Minute,
	})
	require.NoError(tb, err)
	return sale
}
