package mysql_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/internal/testenv"
	"seckill/order"
)

func TestOneOfManyUnreadableMessagesIsFoundWithoutReadingTheOthers(t *testing.T) {
	t.Parallel()
	testenv.MySQLs(t, func(t *testing.T, db *sql.DB) {
		t.Parallel()
		store := newStore(db)
		for i := range 500 {
			require.NoError(t, store.AddDeadLetter(t.Context(), order.DeadLetter{MessageID: fmt.Sprint("m-", i), Reason: "unreadable", Body: []byte("x")}))
		}
		_, err := db.ExecContext(t.Context(), `ANALYZE TABLE dead_letters`)
		require.NoError(t, err)
		db.SetMaxOpenConns(1) // the counters are a connection's
		read := func() (n int) {
			var name string
			for _, counter := range []string{"Handler_read_next", "Handler_read_prev", "Handler_read_rnd_next"} {
				var rows int
				require.NoError(t, db.QueryRowContext(t.Context(), `SHOW SESSION STATUS LIKE '`+counter+`'`).Scan(&name, &rows))
				n += rows
			}
			return n
		}
		read()
		before := read()
		overhead := read() - before
		before = read()
		found, err := store.DeadLettersNamed(t.Context(), "m-250")
		require.NoError(t, err)
		require.Len(t, found, 1)
		require.Less(t, read()-before-overhead, 50)
	})
}

func TestAFloodOfMessagesDoesNotFillTheTable(t *testing.T) {
	t.Parallel()
	testenv.MySQLs(t, func(t *testing.T, db *sql.DB) {
		t.Parallel()
		store := newStore(db)
		row := `INSERT INTO dead_letters (order_id, sale_id, shopper_id, message_id, reason, detail, body, created_at) VALUES ` +
			strings.TrimSuffix(strings.Repeat(`(0, 0, '', UUID(), 'forged', '', REPEAT('x', 4096), NOW(3)),`, 100), ",")
		for range order.MaxStoredDeadLetters / 100 {
			_, err := db.ExecContext(t.Context(), row)
			require.NoError(t, err)
		}
		one := order.DeadLetter{MessageID: "m", Reason: "forged"}
		begin := time.Now()
		require.ErrorIs(t, store.AddDeadLetter(t.Context(), one), order.ErrFull)
		t.Logf("refused after %s", time.Since(begin))
		verdict := order.DeadLetter{OrderID: 7, SaleID: 5, ShopperID: "a", Reason: "poison"}
		require.NoError(t, store.AddDeadLetter(t.Context(), verdict), "a verdict is always kept")
		_, err := db.ExecContext(t.Context(), `DELETE FROM dead_letters WHERE order_id = 0 LIMIT 2`)
		require.NoError(t, err)
		require.NoError(t, store.AddDeadLetter(t.Context(), one))
		found, err := store.DeadLettersNamed(t.Context(), "m")
		require.NoError(t, err)
		require.Len(t, found, 1)
	})
}
