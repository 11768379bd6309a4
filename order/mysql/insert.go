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
	// Not IGNORE, which truncates values. This locks the existing row.
	unlessPresent = ` ON DUPLICATE KEY UPDATE id = orders.id`
)

func insertOf(n int) string { return insertOrders + repeat(insertOrder, n) + unlessPresent }

// insert adds the rows of vs, in their order, and returns how many were inserted: the
// ID or the slot of the others is taken. It uses the largest prepared statements that
// fit, and text for the rest.
func (t *settling) insert(ctx context.Context, vs []*order.Verdict) (int, error) {
	var inserted int64
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
		inserted += rows
		vs = vs[n:]
	}
	return int(inserted), nil
}

// values are the arguments of insertOrder, for each of vs.
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

// preparedSizes are the batch sizes whose INSERT is prepared, largest first. The
// text for 256 orders has 40 kB, and parsing it is a third of the statement's cost in
// MariaDB. Below 64, one more statement costs as much as it saves. All three take 3.5
// MB of MariaDB's memory per connection of a worker (MEMORY_USED in its process list).
var preparedSizes = [...]int{256, 128, 64}

// prepareAgain is the time until a server that refused is asked again.
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

// get returns the statements, which live as long as the Store's pool. It returns none
// for a batch that is smaller than all of them, or if the server has no room for
// them: text works as well. Preparing takes a connection, so the caller must not hold
// one.
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
			_ = p.stmt.Close() // frees the server's memory
		}
	}
	if _, refused := errors.AsType[*mysql.MySQLError](err); refused { // else MySQL is away, and Settle will report it
		s.log.WarnContext(ctx, "MySQL prepares no statements: batches are inserted as text, a fifth slower", "err", err)
		i.retry = time.Now().Add(prepareAgain)
	}
	return nil
}

// ready is an execer of a prepared statement.
type ready struct{ *sql.Stmt }

func (r ready) ExecContext(ctx context.Context, _ string, args ...any) (sql.Result, error) {
	return r.Stmt.ExecContext(ctx, args...) //nolint:wrapcheck // as a *sql.Tx
}

// assignSlots gives each of vs that is to be confirmed a free slot, or rejects it. The
// INSERT has locked the orders that it conflicted with.
func (t *settling) assignSlots(ctx context.Context, vs []*order.Verdict) error {
	for saleID, vs := range order.BySale(vs) {
		sale := t.sales[saleID]
		if sale == nil {
			continue // all of vs are rejected
		}
		held, err := t.liveOrders(ctx, saleID, vs)
		if err != nil {
			return err
		}
		sale.AssignSlots(vs, held)
	}
	return nil
}

// The slots spare the dead orders of a shopper, who may have thousands.
const readLive = `SELECT id, shopper_id, slot, idem_key FROM orders FORCE INDEX (orders_slot) WHERE sale_id = ? AND live = 1 AND slot IN (`

// liveOrders returns the live orders of the shoppers of vs in one sale, by shopper. Only
// ID, shopper, slot and key are set.
func (t *settling) liveOrders(ctx context.Context, saleID int64, vs []*order.Verdict) (map[string][]order.Order, error) {
	slots := t.sales[saleID].OrdersPerShopper
	args := make([]any, 1, 1+slots+len(vs))
	args[0] = saleID
	for slot := range slots {
		args = append(args, slot)
	}
	for _, v := range vs {
		args = append(args, v.ShopperID)
	}
	held := make(map[string][]order.Order, len(vs))
	err := query(ctx, t.tx, func(rows *sql.Rows) error {
		var o order.Order
		err := rows.Scan(&o.ID, &o.ShopperID, &o.Slot, &o.Key)
		held[o.ShopperID] = append(held[o.ShopperID], o)
		return err
	}, readLive+repeat("?", slots)+`) AND shopper_id IN (`+repeat("?", len(vs))+`)`, args...)
	if err != nil {
		return nil, fmt.Errorf("read live orders: %w", err)
	}
	return held, nil
}
