package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"seckill/audit"
	"seckill/loadtest/scrape"
	"seckill/order"
	"seckill/stock"
)

// sale is what sells at one time: one sale, or several in turn.
type sale struct {
	*system
	ids      []int64
	stock    int     // of each
	accepted float64 // by the API before
	filled   int64   // orders that fill made
}

// plenty is a stock that no round sells out.
const plenty = 50_000_000

// settleWithin bounds the wait for a backlog to be settled.
const settleWithin = 5 * time.Minute

// open creates n sales and opens them. Nothing else sells meanwhile, so the API's
// counters are theirs.
func (s *system) open(ctx context.Context, stock, n int) (*sale, error) {
	sl := &sale{system: s, stock: stock}
	for range n {
		id, err := s.openOne(ctx, stock)
		if err != nil {
			return nil, err
		}
		sl.ids = append(sl.ids, id)
	}
	var err error
	sl.accepted, err = s.total(acceptedTotal)(ctx)
	return sl, err
}

func (s *system) openOne(ctx context.Context, stock int) (int64, error) {
	now := time.Now().UTC()
	out, err := s.run(ctx, fmt.Sprintf(`{"title": "benchmark", "price_minor": 9900, "currency": "CNY", "stock": %d,
		"starts_at": %q, "ends_at": %q, "pay_within": "10h"}`, stock,
		now.Add(-time.Second).Format(time.RFC3339), now.Add(2*time.Hour).Format(time.RFC3339)),
		"sale", "create", "-f", "-", "--allow-unusual", "--json")
	if err != nil {
		return 0, err
	}
	var made struct {
		ID int64 `json:"id,string"`
	}
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		return 0, fmt.Errorf("sale create: %w", err)
	}
	id := strconv.FormatInt(made.ID, 10)
	if _, err = s.run(ctx, "", "sale", "open", id); err != nil {
		return 0, err
	}
	return made.ID, until(ctx, startWithin, func() (bool, error) { // the API gets a message, then reads the sale
		text, err := scrape.Get(ctx, s.url+"/v1/sales/"+id)
		return err == nil && strings.Contains(text, `"state":"open"`), ctx.Err()
	})
}

// names are the IDs as text.
func (s *sale) names() []string {
	names := make([]string, len(s.ids))
	for i, id := range s.ids {
		names[i] = strconv.FormatInt(id, 10)
	}
	return names
}

// sold waits until the last request is answered, and returns how many orders were
// accepted.
func (s *sale) sold(ctx context.Context) (int64, error) {
	err := until(ctx, 30*time.Second, func() (bool, error) { return s.idle(ctx) })
	if err != nil {
		return 0, fmt.Errorf("requests in progress: %w", err)
	}
	n, err := s.total(acceptedTotal)(ctx)
	return int64(n - s.accepted), err
}

// results counts the orders that have their result in Redis: each has one unit, and
// none is rejected.
func (s *sale) results(ctx context.Context) (n float64, err error) {
	ms, err := s.ledger.Metas(ctx, s.ids)
	for _, m := range ms {
		n += float64(m.Settled)
	}
	return n, err
}

// settled waits until every order has its result in Redis, and returns when.
func (s *sale) settled(ctx context.Context) (time.Time, error) {
	err := until(ctx, settleWithin, func() (bool, error) { return s.noPending(ctx) })
	if err != nil {
		err = fmt.Errorf("waiting for the last result: %w", err)
	}
	return time.Now(), err
}

func (s *sale) noPending(ctx context.Context) (bool, error) {
	ms, err := s.ledger.Metas(ctx, s.ids)
	return err == nil && !slices.ContainsFunc(ms, func(m stock.Meta) bool { return !m.Loaded || m.Pending > 0 }), err
}

// decided tells whether no request is in progress and every order has its result.
func (s *sale) decided(ctx context.Context) (bool, error) {
	if yes, err := s.idle(ctx); !yes || err != nil {
		return false, err
	}
	return s.noPending(ctx)
}

// check settles the rest of the sale, compares both stores with the guarantees, and
// forgets the sale. The error is errBroken if a guarantee is broken.
func (s *sale) check(ctx context.Context) error {
	accepted, err := s.sold(ctx)
	if err != nil {
		return err
	}
	if accepted == 0 {
		return errors.New("no order was accepted, so nothing was measured")
	}
	if err := s.consume(ctx, true); err != nil {
		return err
	}
	if _, err := s.settled(ctx); err != nil {
		return err
	}
	var confirmed int64
	for _, name := range s.names() {
		n, err := s.audit(ctx, name)
		if err != nil {
			return err
		}
		confirmed += n
	}
	if want := min(int64(s.stock)*int64(len(s.ids)), accepted+s.filled); confirmed != want {
		return fmt.Errorf("%w: %d accepted, %d filled before, stock %d x %d, but %d confirmed", errBroken, accepted, s.filled, len(s.ids), s.stock, confirmed)
	}
	s.b.result.Audited += len(s.ids)
	s.b.result.Orders += confirmed
	return s.forget(ctx)
}

// audit compares the stores and returns how many orders are confirmed.
func (s *sale) audit(ctx context.Context, name string) (int64, error) {
	out, err := s.run(ctx, "", "audit", name, "--json")
	var a struct {
		OK    bool              `json:"ok"`
		Sales []audit.SaleAudit `json:"sales"`
	}
	if json.Unmarshal([]byte(out), &a) != nil || len(a.Sales) != 1 {
		return 0, fmt.Errorf("audit of sale %s: %w", name, err)
	}
	v := a.Sales[0]
	if err != nil || !a.OK || v.Rejected != 0 || v.Pending != 0 || v.Available+v.LiveUnits != v.Total {
		return 0, errors.Join(fmt.Errorf("%w: sale %s: %+v", errBroken, name, v), err)
	}
	return v.Confirmed, nil
}

// forget removes the sale, so that the next round starts from the same state.
func (s *sale) forget(ctx context.Context) error {
	for i, name := range s.names() {
		if _, err := s.run(ctx, "", "sale", "end", name, "--yes"); err != nil {
			return err
		}
		if err := s.ledger.Unload(ctx, s.ids[i]); err != nil {
			return err
		}
	}
	return execAll(ctx, s.db, "DELETE FROM sales", "TRUNCATE TABLE orders", "TRUNCATE TABLE sale_changes", "TRUNCATE TABLE sale_commands")
}

func execAll(ctx context.Context, db *sql.DB, statements ...string) error {
	for _, q := range statements {
		if _, err := db.ExecContext(ctx, q); err != nil {
			return fmt.Errorf("%s: %w", q, err)
		}
	}
	return nil
}

// span has the times at which the first and last order were made, and the first was
// decided.
type span struct{ made, lastMade, decided time.Time }

// span ignores orders made before from.
func (s *sale) span(ctx context.Context, from time.Time) (span, error) {
	var first, last sql.NullInt64
	var decided sql.NullTime
	err := s.db.QueryRowContext(ctx, `SELECT MIN(id), MAX(id), MIN(decided_at) FROM orders WHERE created_at >= ?`, from.UTC()).Scan(&first, &last, &decided)
	if err == nil && !first.Valid {
		err = errors.New("no orders")
	}
	return span{order.ID(first.Int64).Time(), order.ID(last.Int64).Time(), decided.Time}, err
}
