// Package memory is the order store in memory, for development and tests. It uses
// the domain's own rules and passes the same suite as MySQL. Nothing outlives the
// process.
package memory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"seckill/order"
)

// Store has the methods of order/mysql's Store, which document them, in memory and
// behind one lock. It never deletes anything, so it is for `seckill dev` and tests
// only.
type Store struct {
	mu          sync.Mutex
	nodeID      int64
	sales       map[int64]*order.Sale
	orders      map[order.ID]*order.Record
	shoppers    map[shopper][]*order.Record // all orders of a shopper in a sale
	changes     map[int64][][]byte          // by sale; the first has seq 1
	returned    map[int64][][]byte          // what each of them says of returned orders
	refunds     map[int64][][]byte          // of each of them
	changedAt   map[int64][]time.Time       // when each of them was
	returns     map[shopper]order.Returns
	cursors     map[int64]cursor // of events, by sale
	commands    map[string]order.Command
	deadLetters map[deadLetterKey]order.DeadLetter
	payments    map[string]order.PaymentRecord
	audit       []order.AuditEntry
	limits      order.Limits
}

type shopper struct {
	sale int64
	id   string
}

// NewStore returns an empty Store.
func NewStore() *Store {
	return &Store{
		sales:       make(map[int64]*order.Sale),
		orders:      make(map[order.ID]*order.Record),
		shoppers:    make(map[shopper][]*order.Record),
		changes:     make(map[int64][][]byte),
		refunds:     make(map[int64][][]byte),
		changedAt:   make(map[int64][]time.Time),
		cursors:     make(map[int64]cursor),
		returned:    make(map[int64][][]byte),
		returns:     make(map[shopper]order.Returns),
		commands:    make(map[string]order.Command),
		deadLetters: make(map[deadLetterKey]order.DeadLetter),
		payments:    make(map[string]order.PaymentRecord),
		limits:      order.Limits{Generation: 1},
	}
}

// Ping always succeeds.
func (s *Store) Ping(ctx context.Context) error { return ctx.Err() }

// NextNodeID is as in order/mysql.
func (s *Store) NextNodeID(context.Context) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodeID++
	return s.nodeID, nil
}

// LastNodeID is as in order/mysql.
func (s *Store) LastNodeID(context.Context) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nodeID, nil
}

// Sale is as in order/mysql.
func (s *Store) Sale(_ context.Context, id int64) (order.Sale, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sale(id)
}

func (s *Store) sale(id int64) (order.Sale, error) {
	sale, ok := s.sales[id]
	if !ok {
		return order.Sale{}, fmt.Errorf("sale %d: %w", id, order.ErrNotFound)
	}
	return *sale, nil
}

// Sales is as in order/mysql.
func (s *Store) Sales(context.Context) ([]order.Sale, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sales []order.Sale
	for _, sale := range s.sales {
		if sale.State != order.SaleClosed {
			sales = append(sales, *sale)
		}
	}
	slices.SortFunc(sales, func(a, b order.Sale) int { return cmp.Or(leftOut(a)-leftOut(b), order.NewestFirst(a, b)) })
	sales = sales[:min(len(sales), order.MaxSales)]
	slices.SortFunc(sales, order.NewestFirst)
	return sales, nil
}

// leftOut is higher for sales that are left out of a full list first, see
// order.MaxSales.
func leftOut(s order.Sale) int {
	switch {
	case s.State.Loaded():
		return 0
	case s.State == order.SaleScheduled && time.Until(s.StartsAt) > order.StartsSoon:
		return 2
	default:
		return 1
	}
}

// ClosedSales is as in order/mysql.
func (s *Store) ClosedSales(_ context.Context, before int64, limit int) ([]int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []int64
	for id, sale := range s.sales {
		if sale.State == order.SaleClosed && (before == 0 || id < before) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b int64) int { return cmp.Compare(b, a) })
	return ids[:min(len(ids), limit)], nil
}

// SalesNamed is as in order/mysql.
func (s *Store) SalesNamed(_ context.Context, n order.SaleName) ([]order.Sale, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sales []order.Sale
	for _, sale := range s.sales {
		if n.Is(*sale) {
			sales = append(sales, *sale)
		}
	}
	return sales, nil
}

// SalesBefore is as in order/mysql.
func (s *Store) SalesBefore(_ context.Context, before int64, limit int) ([]order.Sale, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sales []order.Sale
	for id, sale := range s.sales {
		if before == 0 || id < before {
			sales = append(sales, *sale)
		}
	}
	slices.SortFunc(sales, order.NewestFirst)
	return sales[:min(len(sales), limit)], nil
}

// log appends a change and returns its seq.
func (s *Store) log(c order.Change) uint64 {
	s.changes[c.SaleID] = append(s.changes[c.SaleID], order.EncodeChange(c))
	s.returned[c.SaleID] = append(s.returned[c.SaleID], order.EncodeReturned(c))
	s.refunds[c.SaleID] = append(s.refunds[c.SaleID], order.EncodeRefund(c.Refund))
	s.changedAt[c.SaleID] = append(s.changedAt[c.SaleID], now())
	return uint64(len(s.changes[c.SaleID]))
}

// record logs new verdicts of a sale's orders as its next change.
func (s *Store) record(sale *order.Sale, vs []*order.Verdict) {
	sale.Seq++
	s.log(order.NewChange(sale.ID, sale.Seq, vs))
}

// RaiseEpoch is as in order/mysql.
func (s *Store) RaiseEpoch(_ context.Context, id int64) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sale, ok := s.sales[id]
	if !ok {
		return 0, fmt.Errorf("sale %d: %w", id, order.ErrNotFound)
	}
	sale.Epoch++
	return sale.Epoch, nil
}

func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
