package api

import (
	"context"
	"log/slog"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"seckill/order"
)

const (
	// hurryAfter is the age at which an order that is still pending, while hardly
	// any wait in the queue, was most likely never sent: its API died. hurryUntil
	// is when the sweeper looks at it by itself.
	hurryAfter = 2 * time.Second
	hurryUntil = 30 * time.Second
	// hurriedSize bounds the orders remembered; one that is forgotten is looked
	// at twice.
	hurriedSize = 4096
)

func newHurried() *lru.Cache[order.ID, struct{}] {
	c, _ := lru.New[order.ID, struct{}](hurriedSize) // fails for a size below 1 only
	return c
}

// hurry hands a pending order that a shopper asks for again to the sweeper, so
// that it need not wait for its lease to end. In a backlog it does nothing, and
// in no case is an order handed over twice: the sweeper is to have no more work
// than there are such orders.
func (s *Server) hurry(ctx context.Context, o order.Order) {
	if age := s.age(o.ID); s.Quiet == nil || age < hurryAfter || age > hurryUntil || !s.Quiet() {
		return
	}
	if again, _ := s.hurried.ContainsOrAdd(o.ID, struct{}{}); again {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, urgentWithin)
	defer cancel()
	if err := s.Stock.Urgent(ctx, o.SaleID, o); err != nil {
		s.logs.error(ctx, "pending order not hurried", slog.Int64("sale_id", o.SaleID), slog.String("order_id", o.ID.String()), slog.Any("err", err))
	}
}
