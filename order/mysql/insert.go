package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"

	"seckill/order"
)

const (
	insertOrders = `INSERT INTO orders (id, sale_id, shopper_id, slot, live, quantity, unit_price, status, reason,
		attempt, idem_key, reference, created_at, decided_at, pay_by) VALUES `
	insertOrder = `(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NOW(3), NOW(3) + INTERVAL ? SECOND)`
	// Not IGNORE, which cuts values to fit. The row that is met is locked.
	unlessPresent = ` ON DUPLICATE KEY UPDATE id = orders.id`
)

func insertOf(n int) string { return insertOrders + repeat(insertOrder, n) + unlessPresent }

// insert makes the rows of vs and returns how many there were none of: the ID
// or the slot of the others is taken. It goes in ID order, in as few statements
// as there are prepared ones for; what is left is text.
func (t *settling) insert(ctx context.Context, vs []*order.Verdict) (int, error) {
	var made int64
	for len(vs) > 0 {
		n, db := len(vs), execer(t.tx)
		statement := ""
		for _, p := range t.prepared {
			if p.size <= len(vs) {
				n, db, statement = p.size, ready{t.tx.StmtContext(ctx, p.stmt)}, p.text
				break
			}
		}
		if statement == "" {
			statement = insertOf(n)
		}
		rows, _, err := exec(ctx, db, statement, t.values(vs[:n])...)
		if err != nil {
			return 0, fmt.Errorf("insert orders: %w", err)
		}
		made += rows
		vs = vs[n:]
	}
	return int(made), nil
}

// values are those of insertOrder, for each of vs.
func (t *settling) values(vs []*order.Verdict) []any {
	args := make([]any, 0, 14*len(vs))
	for _, v := range vs {
		var price int64
		if sale := t.sales[v.SaleID]; sale != nil {
			price = sale.PriceMinor
		}
		var live, payWithin any // NULL makes pay_by NULL
		if v.Status == order.StatusConfirmed {
			live, payWithin = 1, seconds(t.sales[v.SaleID].PayWithin)
		}
		args = append(args, int64(v.ID), v.SaleID, v.ShopperID, v.Slot, live, v.Quantity, price,
			string(v.Status), string(v.Reason), t.attempt, v.Key, v.Reference, v.ID.Time(), payWithin)
	}
	return args
}

// preparedSizes are the batches whose INSERT is prepared, largest first: the
// text of one of 256 orders has 40 kB, and to read it is a third of what it costs
// MariaDB. Below 64, a statement more costs as much as it spares. All three take
// 3.5 MB of MariaDB's memory for each connection of a worker (MEMORY_USED of its
// process list).
var preparedSizes = [...]int{256, 128, 64}

// prepareAgain is how long a server that prepared nothing is not asked again.
const prepareAgain = time.Minute

// inserts are the prepared INSERTs of a Store.
type inserts struct {
	mu    sync.Mutex
	all   []preparedInsert
	retry time.Time
}

type preparedInsert struct {
	size int
	text string
	stmt *sql.Stmt
}

// get returns the statements, which live as long as the Store's pool; none for a
// batch that is smaller than all of them, and none from a server that has no room
// for them: text does as well. Preparing takes a connection, so the caller must
// not hold one.
func (i *inserts) get(ctx context.Context, s *Store, batch int) []preparedInsert {
	if batch < preparedSizes[len(preparedSizes)-1] {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.all != nil || time.Now().Before(i.retry) {
		return i.all
	}
	var all []preparedInsert
	var err error
	for _, n := range preparedSizes {
		p := preparedInsert{size: n, text: insertOf(n)}
		var failed error
		p.stmt, failed = s.db.PrepareContext(ctx, p.text)
		err = errors.Join(err, failed)
		all = append(all, p)
	}
	if err == nil {
		i.all = all
		return all
	}
	for _, p := range all {
		if p.stmt != nil {
			_ = p.stmt.Close() // frees what the server had room for
		}
	}
	if _, refused := errors.AsType[*mysql.MySQLError](err); refused { // else it is away, which Settle will say
		s.log.WarnContext(ctx, "MySQL prepares no statements: batches are inserted as text, a fifth slower", "err", err)
		i.retry = time.Now().Add(prepareAgain)
	}
	return nil
}

// ready is an execer of a statement whose text the server has.
type ready struct{ *sql.Stmt }

func (r ready) ExecContext(ctx context.Context, _ string, args ...any) (sql.Result, error) {
	return r.Stmt.ExecContext(ctx, args...) //nolint:wrapcheck // as a *sql.Tx
}
