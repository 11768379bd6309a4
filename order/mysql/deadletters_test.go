package mysql_test

import (
	"database/sql"
	"fmt"
	"testing"

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
