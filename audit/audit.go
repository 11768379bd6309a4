// Package audit compares what MySQL and Redis hold of each sale and order.
// Auditor does it once and changes nothing. Background does it as long as a
// process runs, heals what a replay can heal, and exports the rest as metrics.
//
// Between a commit and its write-back the two stores differ rightly. So a
// discrepancy counts only when it lasts for the grace of 5 s.
package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"seckill/internal/loop"
	"seckill/order"
	"seckill/stock"
)

type auditStore interface {
	Sales(ctx context.Context) ([]order.Sale, error)
	orderRows
	Tally(ctx context.Context, saleID int64) (order.Tally, error)
}

// SaleAudit is the result for one sale. Orders are counted by status; total and
// available are units.
type SaleAudit struct {
	ID            int64         `json:"id,string"`
	State         string        `json:"state"`
	Total         int64         `json:"total"`
	Available     int64         `json:"available"`
	LiveUnits     int64         `json:"live_units"`
	Confirmed     int64         `json:"confirmed"`
	Paid          int64         `json:"paid"`
	Cancelled     int64         `json:"cancelled"`
	Rejected      int64         `json:"rejected"`
	Pending       int64         `json:"pending"` // units reserved in Redis without a verdict
	DeadLetters   int64         `json:"dead_letters"`
	Loaded        bool          `json:"loaded"`
	Discrepancies []Discrepancy `json:"discrepancies"`
}

// Auditor compares MySQL and Redis. It changes nothing.
type Auditor struct {
	store  auditStore
	ledger redisEntries
	grace  time.Duration
}

// NewAuditor returns an Auditor; grace is Grace, or shorter in a test.
func NewAuditor(store auditStore, ledger redisEntries, grace time.Duration) *Auditor {
	return &Auditor{store: store, ledger: ledger, grace: grace}
}

// maxListed bounds the listed discrepancies of one sale.
const maxListed = 1000

// Audit checks one sale, or with 0 every sale that is not closed: first whether
// its rows and counters add up, then each of its orders in both stores. It
// reports only what stays wrong for the grace.
func (a *Auditor) Audit(ctx context.Context, saleID int64) ([]SaleAudit, error) {
	ids := []int64{saleID}
	if saleID == 0 {
		ss, err := a.store.Sales(ctx)
		if err != nil {
			return nil, fmt.Errorf("list sales: %w", err)
		}
		ids = order.SaleIDs(ss)
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

// settled checks a sale as a whole until nothing is wrong or the grace is over,
// then its orders.
func (a *Auditor) settled(ctx context.Context, saleID int64) (SaleAudit, error) {
	found, err := a.check(ctx, saleID)
	for deadline := time.Now().Add(a.grace); err == nil && len(found.Discrepancies) > 0 && time.Now().Before(deadline); {
		if err := loop.Pause(ctx, 250*time.Millisecond); err != nil {
			return found, err
		}
		before := found.Discrepancies
		if found, err = a.check(ctx, saleID); err == nil {
			found.Discrepancies = slices.DeleteFunc(found.Discrepancies, func(d Discrepancy) bool {
				return !slices.ContainsFunc(before, func(b Discrepancy) bool { return b.Kind == d.Kind })
			})
		}
	}
	if err != nil || !found.Loaded {
		return found, err
	}
	// An operator waits for the result: with short pauses, 500,000 orders take some
	// seconds.
	p := newScan(a.store, a.ledger, saleID, a.grace, func(ctx context.Context, took time.Duration) error { return loop.Pause(ctx, took/2) })
	mismatches, err := p.run(ctx)
	if errors.Is(err, errReloaded) { // the next audit says more
		return found, nil
	}
	if err != nil {
		return found, fmt.Errorf("compare the orders of sale %d: %w", saleID, err)
	}
	found.list(mismatches, p.uncounted)
	return found, nil
}

// list adds the mismatches of orders, up to maxListed.
func (s *SaleAudit) list(mismatches []*mismatch, more int) {
	for i, o := range mismatches {
		if i == maxListed {
			more += len(mismatches) - i
			break
		}
		s.Discrepancies = append(s.Discrepancies, o.discrepancy())
	}
	if more > 0 && len(mismatches) > 0 {
		s.Discrepancies = append(s.Discrepancies, Discrepancy{Kind: "more", Detail: fmt.Sprintf("%d more orders differ or were not checked twice", more)})
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

// discrepancies returns what is wrong with a sale as a whole; empty, not nil,
// when everything holds.
func discrepancies(t order.Tally, m stock.Meta) []Discrepancy {
	return append(append([]Discrepancy{}, rowDiscrepancies(t)...), metaDiscrepancies(t.Sale, m, t.LiveUnits)...)
}

// rowDiscrepancies returns what is wrong with a sale's row and its orders' rows.
func rowDiscrepancies(t order.Tally) []Discrepancy {
	s, bad := t.Sale, checks{saleID: t.Sale.ID}
	bad.checkf(t.LiveUnits <= int64(s.Total), KindOversold, "%d live units of a total of %d in MySQL", t.LiveUnits, s.Total)
	bad.checkf(int64(s.Available)+t.LiveUnits == int64(s.Total), KindUnits,
		"available %d + live units %d is not the total %d in MySQL", s.Available, t.LiveUnits, s.Total)
	return bad.found
}

// metaDiscrepancies returns what is wrong with a sale in Redis, where MySQL has
// so many live units.
func metaDiscrepancies(s order.Sale, m stock.Meta, live int64) []Discrepancy {
	bad := checks{saleID: s.ID}
	if !m.Loaded {
		bad.checkf(!s.State.Loaded(), KindNotLoaded, "the sale is %s but not in Redis", s.State)
		return bad.found
	}
	bad.checkf(m.Available+m.Pending+m.Settled == m.Total && m.Pending >= 0 && m.Settled >= 0, KindCounters,
		"available %d + pending %d + settled %d is not the total %d in Redis", m.Available, m.Pending, m.Settled, m.Total)
	bad.checkf(m.Applied >= s.Seq, KindCursor, "change %d of %d applied to Redis", m.Applied, s.Seq)
	if m.Applied == s.Seq {
		bad.checkf(m.Total == int64(s.Total), KindTotal, "total %d in Redis, %d in MySQL", m.Total, s.Total)
		bad.checkf(m.Settled == live, KindSettled, "%d settled units in Redis, %d live ones in MySQL", m.Settled, live)
	}
	return bad.found
}
