package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"seckill/order"
)

// sale is one sale of a round, and what the API had accepted before it.
type sale struct {
	*system
	id       int64
	stock    int
	accepted float64
}

// plenty is more than any round sells.
const plenty = 50_000_000

// settleWithin bounds the wait for a backlog.
const settleWithin = 5 * time.Minute

// open makes a sale that sells at once. One sale sells at a time, so that the
// API's counters are its own.
func (s *system) open(ctx context.Context, stock int) (*sale, error) {
	now := time.Now().UTC()
	out, err := s.run(ctx, fmt.Sprintf(`{"title": "benchmark", "price_minor": 9900, "currency": "CNY", "stock": %d,
		"starts_at": %q, "ends_at": %q, "pay_within": "10h"}`, stock,
		now.Add(-time.Second).Format(time.RFC3339), now.Add(2*time.Hour).Format(time.RFC3339)),
		"sale", "create", "-f", "-", "--json")
	if err != nil {
		return nil, err
	}
	var made struct {
		ID int64 `json:"id,string"`
	}
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		return nil, fmt.Errorf("sale create: %w", err)
	}
	if _, err := s.run(ctx, "", "sale", "open", strconv.FormatInt(made.ID, 10)); err != nil {
		return nil, err
	}
	sl := &sale{system: s, id: made.ID, stock: stock}
	sl.accepted, err = s.total(acceptedTotal)(ctx)
	return sl, err
}

func (s *sale) String() string { return strconv.FormatInt(s.id, 10) }

// sold waits until the last request is answered and returns the orders accepted.
func (s *sale) sold(ctx context.Context) (int64, error) {
	err := until(ctx, 30*time.Second, func() (bool, error) {
		n, err := s.total(inflight)(ctx)
		return n == 0, err
	})
	if err != nil {
		return 0, fmt.Errorf("requests under way: %w", err)
	}
	n, err := s.total(acceptedTotal)(ctx)
	return int64(n - s.accepted), err
}

// settled waits until every order has its result in Redis, and returns when.
func (s *sale) settled(ctx context.Context) (time.Time, error) {
	err := until(ctx, settleWithin, func() (bool, error) {
		ms, err := s.ledger.Metas(ctx, []int64{s.id})
		return err == nil && ms[0].Loaded && ms[0].Pending == 0, err
	})
	if err != nil {
		err = fmt.Errorf("sale %d: waiting for the last result: %w", s.id, err)
	}
	return time.Now(), err
}

// audit is the part of `seckill audit SALE --json` that matters here.
type audit struct {
	OK    bool `json:"ok"`
	Sales []struct {
		Total         int64 `json:"total"`
		Available     int64 `json:"available"`
		LiveUnits     int64 `json:"live_units"`
		Confirmed     int64 `json:"confirmed"`
		Rejected      int64 `json:"rejected"`
		Pending       int64 `json:"pending"`
		Discrepancies []struct {
			Kind   string `json:"kind"`
			Detail string `json:"detail"`
		} `json:"discrepancies"`
	} `json:"sales"`
}

// check settles what is left of the sale and holds the promises against both
// stores; then it forgets the sale. The error is errBroken.
func (s *sale) check(ctx context.Context) error {
	accepted, err := s.sold(ctx)
	if err != nil {
		return err
	}
	if err := s.consume(ctx, true); err != nil {
		return err
	}
	if _, err := s.settled(ctx); err != nil {
		return err
	}
	out, err := s.run(ctx, "", "audit", s.String(), "--json")
	var a audit
	if jerr := json.Unmarshal([]byte(out), &a); jerr != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if len(a.Sales) != 1 {
		return fmt.Errorf("audit of %d sales, want 1", len(a.Sales))
	}
	v := a.Sales[0]
	if want := min(int64(s.stock), accepted); err != nil || !a.OK || v.Confirmed != want || v.Rejected != accepted-want || v.Pending != 0 || v.Available+v.LiveUnits != v.Total {
		return errors.Join(fmt.Errorf("%w: sale %d: accepted %d, stock %d, audit %+v", errBroken, s.id, accepted, s.stock, v), err)
	}
	s.b.audited++
	s.b.orders += accepted
	return s.forget(ctx)
}

// forget makes room for the next round, which must find what this one found.
func (s *sale) forget(ctx context.Context) error {
	if _, err := s.run(ctx, "", "sale", "end", s.String()); err != nil {
		return err
	}
	if err := s.ledger.Unload(ctx, s.id); err != nil {
		return err
	}
	for _, q := range []string{"DELETE FROM sales", "TRUNCATE TABLE orders", "TRUNCATE TABLE sale_changes", "TRUNCATE TABLE sale_commands"} {
		if _, err := s.db.ExecContext(ctx, q); err != nil {
			return fmt.Errorf("%s: %w", q, err)
		}
	}
	return nil
}

// span is when the sale's first order was made, and when the first and the last
// transaction decided orders of it.
func (s *sale) span(ctx context.Context) (made, first, last time.Time, err error) {
	var id sql.NullInt64
	var from, to sql.NullTime
	err = s.db.QueryRowContext(ctx, `SELECT MIN(id), MIN(decided_at), MAX(decided_at) FROM orders WHERE sale_id = ?`, s.id).Scan(&id, &from, &to)
	return order.ID(id.Int64).Time(), from.Time, to.Time, err
}
