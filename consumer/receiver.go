package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"seckill/internal/failpoint"
	"seckill/order"
	"seckill/queue"
)

type deadLetters interface {
	// AddDeadLetter keeps an unreadable message; it may be repeated.
	AddDeadLetter(ctx context.Context, d order.DeadLetter) error
}

// Receiver decodes deliveries of the queue and passes their orders to the pool.
type Receiver struct {
	pool *Pool
	dead deadLetters
	log  *slog.Logger
}

// NewReceiver returns a Receiver that passes orders to pool, and messages that are not
// orders to dead.
func NewReceiver(pool *Pool, dead deadLetters, log *slog.Logger) *Receiver {
	return &Receiver{pool: pool, dead: dead, log: log}
}

// Handle settles one delivery. After a nil error it is acknowledged: each order has a
// verdict, each unreadable message is a dead letter. After any other error it must be
// delivered again, with backoff.
func (r *Receiver) Handle(ctx context.Context, msgs []queue.Message) (failure error) {
	if err := failpoint.Hit(ctx, failpoint.Delivered); err != nil {
		return err
	}
	orders := make([]order.Order, 0, len(msgs))
	var newer error
	var ts traces
	defer func() { ts.end(failure) }()
	for _, m := range msgs {
		if !m.StoredAt.IsZero() {
			r.pool.metrics.consumeDelay.Observe(time.Since(m.StoredAt).Seconds())
		}
		o, err := order.DecodeMessage(m.Body)
		switch {
		case err == nil:
			orders = append(orders, o)
			ts = r.pool.begin(ctx, ts, m, o)
		case errors.Is(err, order.ErrNewerVersion):
			newer = fmt.Errorf("message %q: %w: upgrade this consumer", m.ID, err)
		default:
			if err := r.addDeadLetter(ctx, m, err); err != nil {
				return err
			}
		}
	}
	if err := r.pool.hand(ctx, orders, ts); err != nil {
		return err
	}
	if err := failpoint.Hit(ctx, failpoint.BeforeAck); err != nil {
		return err
	}
	return newer // the readable messages are settled; this one waits for the upgrade
}

// maxKeptBody bounds the body of a dead letter.
const maxKeptBody = 4 << 10

func (r *Receiver) addDeadLetter(ctx context.Context, m queue.Message, why error) error {
	id, err := order.ParseID(m.ID)
	if err != nil {
		id = 0 // not a message of ours
	}
	d := order.DeadLetter{
		MessageID: m.ID, OrderID: id, Reason: "unreadable", Detail: why.Error(),
		Body: m.Body[:min(len(m.Body), maxKeptBody)],
	}
	if err := r.dead.AddDeadLetter(ctx, d); err != nil {
		return fmt.Errorf("dead letter %q: %w", m.ID, err)
	}
	r.log.WarnContext(ctx, "unreadable message added to dead_letters", "message_id", m.ID, "bytes", len(m.Body), "err", why)
	return nil
}
