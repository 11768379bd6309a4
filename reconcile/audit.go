package reconcile

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"seckill/order"
	"seckill/stock"
)

type tallies interface {
	sales
	Tally(ctx context.Context, saleID int64) (order.Tally, error)
}

// SaleAudit is what the audit found of one sale. Orders are counted by status;
// units are in total and available.
type SaleAudit struct {
	ID            int64    `json:"id,string"`
	State         string   `json:"state"`
	Total         int64    `json:"total"`
	Available     int64    `json:"available"`
	LiveUnits     int64    `json:"live_units"`
	Confirmed     int64    `json:"confirmed"`
	Paid          int64    `json:"paid"`
	Cancelled     int64    `json:"cancelled"`
	Rejected      int64    `json:"rejected"`
	Pending       int64    `json:"pending"` // units reserved in Redis without a verdict
	DeadLetters   int64    `json:"dead_letters"`
	Loaded        bool     `json:"loaded"`
	Discrepancies []string `json:"discrepancies"`
}

// grace is how long a discrepancy may be work in progress.
const grace = 5 * time.Second

// Auditor compares MySQL and Redis. It changes nothing.
type Auditor struct {
	store  tallies
	ledger metas
}

// NewAuditor returns an Auditor.
func NewAuditor(store tallies, ledger metas) *Auditor {
	return &Auditor{store: store, ledger: ledger}
}

// Audit checks one sale, or with 0 every sale that is not closed. It reports
// only what stays wrong for the grace of 5 s: between a commit and its
// write-back the stores differ rightly.
func (a *Auditor) Audit(ctx context.Context, saleID int64) ([]SaleAudit, error) {
	ids := []int64{saleID}
	if saleID == 0 {
		ss, err := a.store.Sales(ctx)
		if err != nil {
			return nil, fmt.Errorf("list sales: %w", err)
		}
		ids = saleIDs(ss)
	}
	audits := make([]SaleAudit, 0, len(ids))
	for _, id := range ids {
		found, err := a.settled(ctx, id)
		if err != nil {
			return nil, err
		}
		audits = append(audits, found)
	}
	return audits, nil
}

// settled audits a sale until nothing is wrong or the grace is over.
func (a *Auditor) settled(ctx context.Context, saleID int64) (SaleAudit, error) {
	for deadline := time.Now().Add(grace); ; {
		found, err := a.check(ctx, saleID)
		if err != nil || len(found.Discrepancies) == 0 || time.Now().After(deadline) {
			return found, err
		}
		select {
		case <-ctx.Done():
			return found, ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
}

func (a *Auditor) check(ctx context.Context, saleID int64) (SaleAudit, error) {
	t, err := a.store.Tally(ctx, saleID)
	if errors.Is(err, order.ErrNotFound) {
		return SaleAudit{}, fmt.Errorf("sale %s: %w", strconv.FormatInt(saleID, 10), err)
	}
	if err != nil {
		return SaleAudit{}, fmt.Errorf("count the orders of sale %d: %w", saleID, err)
	}
	ms, err := a.ledger.Metas(ctx, []int64{saleID})
	if err != nil {
		return SaleAudit{}, fmt.Errorf("read sale %d in Redis: %w", saleID, err)
	}
	found := SaleAudit{
		ID: saleID, State: string(t.Sale.State),
		Total: int64(t.Sale.Total), Available: int64(t.Sale.Available), LiveUnits: t.LiveUnits,
		Confirmed: t.Orders[order.StatusConfirmed], Paid: t.Orders[order.StatusPaid],
		Cancelled: t.Orders[order.StatusCancelled], Rejected: t.Orders[order.StatusRejected],
		DeadLetters: t.DeadLetters, Pending: ms[0].Pending, Loaded: ms[0].Loaded,
	}
	found.Discrepancies = discrepancies(t, ms[0])
	return found, nil
}

// discrepancies names what does not hold; nil when all does.
func discrepancies(t order.Tally, m stock.Meta) []string {
	bad := []string{}
	check := func(holds bool, format string, args ...any) {
		if !holds {
			bad = append(bad, fmt.Sprintf(format, args...))
		}
	}
	s := t.Sale
	check(t.LiveUnits <= int64(s.Total), "oversold: %d live units of a total of %d", t.LiveUnits, s.Total)
	check(int64(s.Available)+t.LiveUnits == int64(s.Total),
		"mysql: available %d + live units %d is not the total %d", s.Available, t.LiveUnits, s.Total)
	if !m.Loaded {
		check(!s.State.Loaded(), "redis: the sale is %s but not loaded", s.State)
		return bad
	}
	check(m.Available+m.Pending+m.Settled == m.Total,
		"redis: available %d + pending %d + settled %d is not the total %d", m.Available, m.Pending, m.Settled, m.Total)
	check(m.Applied >= s.Seq, "redis: change %d of %d applied", m.Applied, s.Seq)
	if m.Applied == s.Seq {
		check(m.Total == int64(s.Total), "redis: total %d, in mysql %d", m.Total, s.Total)
		check(m.Settled == t.LiveUnits, "redis: %d settled units, in mysql %d live", m.Settled, t.LiveUnits)
	}
	return bad
}
