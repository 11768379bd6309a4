package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"golang.org/x/time/rate"

	"seckill/internal/failpoint"
	"seckill/order"
	"seckill/queue"
)

type deadLetters interface {
	// AddDeadLetter keeps a message that is no order; it may be repeated. The error is
	// order.ErrFull if there are too many.
	AddDeadLetter(ctx context.Context, d order.DeadLetter) error
}

// ReceiverOptions are all required, but for UnsignedUntil.
type ReceiverOptions struct {
	Signer      *order.Signer
	DeadLetters deadLetters
	// UnsignedUntil is when messages without a MAC, of a version that did not sign, are no
	// longer accepted. Zero: they are not.
	UnsignedUntil time.Time
	// NewerWait is how long after its storing a message of a newer version is left to a
	// newer consumer. Then it becomes a dead letter.
	NewerWait time.Duration
	Metrics   prometheus.Registerer
	Log       *slog.Logger
}

// Receiver verifies and decodes deliveries of the queue, and passes their orders to the
// pool. It settles nothing that no API has signed. The order of a message that it refuses
// is settled from its reservation, if it has one.
type Receiver struct {
	pool    *Pool
	opts    ReceiverOptions
	kept    *rate.Limiter  // dead letters with their log lines
	dropped rate.Sometimes // log lines of the others
	refused map[refusal]prometheus.Counter
	lost    prometheus.Counter
}

// refusal is why a message is no order: the reason of its dead letter.
type refusal string

const (
	unreadable refusal = "unreadable"
	unsigned   refusal = "unsigned"
	forged     refusal = "forged"
	newer      refusal = "newer"
)

// A flood of messages must not keep MySQL busy: of each process this many become dead
// letters at once, and so many a second. The others are counted.
const (
	keptAtOnce    = 100
	keptPerSecond = 1
	droppedEvery  = 10 * time.Second
)

// NewReceiver returns a Receiver that passes orders to pool.
func NewReceiver(pool *Pool, o ReceiverOptions) *Receiver {
	f := promauto.With(o.Metrics)
	refused := f.NewCounterVec(prometheus.CounterOpts{Name: "seckill_messages_refused_total", Help: "Messages that were no order of an API with our keys, by reason: unsigned, forged (signed under none of the keys), unreadable, newer (waited too long for a newer consumer)."}, []string{"reason"})
	r := &Receiver{
		pool: pool, opts: o, kept: rate.NewLimiter(keptPerSecond, keptAtOnce), dropped: rate.Sometimes{Interval: droppedEvery},
		refused: map[refusal]prometheus.Counter{},
		lost:    f.NewCounter(prometheus.CounterOpts{Name: "seckill_messages_dropped_total", Help: "Refused messages that were not kept as dead letters, because too many came or are stored."}),
	}
	for _, why := range []refusal{unreadable, unsigned, forged, newer} {
		r.refused[why] = refused.WithLabelValues(string(why))
	}
	return r
}

// Handle settles one delivery. After a nil error it is acknowledged: each order has a
// verdict, each other message is refused. After any other error it must be delivered
// again, with backoff.
func (r *Receiver) Handle(ctx context.Context, msgs []queue.Message) (failure error) {
	if err := failpoint.Hit(ctx, failpoint.Delivered); err != nil {
		return err
	}
	orders := make([]order.Order, 0, len(msgs))
	var waiting error
	var ts traces
	defer func() { ts.end(failure) }()
	for _, m := range msgs {
		if !m.StoredAt.IsZero() {
			r.pool.metrics.consumeDelay.Observe(time.Since(m.StoredAt).Seconds())
		}
		o, err := r.decode(m.Body)
		switch {
		case err == nil:
			orders = append(orders, o)
			ts = r.pool.begin(ctx, ts, m, o)
		case errors.Is(err, order.ErrNewerVersion) && time.Since(m.StoredAt).Abs() < r.opts.NewerWait:
			waiting = fmt.Errorf("message %q: %w: upgrade this consumer", m.ID, err)
		default:
			if err := r.refuse(ctx, m, err); err != nil {
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
	return waiting // the orders are settled; this message waits for the upgrade
}

func (r *Receiver) decode(body []byte) (order.Order, error) {
	o, err := r.opts.Signer.Decode(body)
	if errors.Is(err, order.ErrUnsigned) && time.Now().Before(r.opts.UnsignedUntil) {
		return order.DecodeMessage(body)
	}
	return o, err
}

// maxKeptBody bounds the body of a dead letter.
const maxKeptBody = 4 << 10

// refuse counts a message that is no order and, unless too many come, keeps it.
func (r *Receiver) refuse(ctx context.Context, m queue.Message, why error) error {
	reason := refusalOf(why)
	id, err := order.ParseID(m.ID)
	if err != nil {
		id = 0 // not a message of ours
	}
	d := order.DeadLetter{
		MessageID: m.ID, OrderID: id, Reason: string(reason), Detail: why.Error(),
		Body: m.Body[:min(len(m.Body), maxKeptBody)],
	}.Fitted()
	err = errTooMany
	if r.kept.Allow() {
		err = r.opts.DeadLetters.AddDeadLetter(ctx, d)
	}
	line := []any{"message_id", d.MessageID, "reason", reason, "bytes", len(m.Body), "err", why}
	switch {
	case err == nil:
		r.opts.Log.WarnContext(ctx, "message refused, added to dead_letters", line...)
	case errors.Is(err, errTooMany), errors.Is(err, order.ErrFull):
		r.lost.Inc()
		r.dropped.Do(func() {
			r.opts.Log.WarnContext(ctx, "message refused and dropped, as others may have been since the last such line", append(line, "cause", err)...)
		})
	default:
		return fmt.Errorf("dead letter %q: %w", d.MessageID, err)
	}
	r.refused[reason].Inc()
	return nil
}

var errTooMany = errors.New("consumer: more messages are refused than are kept")

func refusalOf(err error) refusal {
	switch {
	case errors.Is(err, order.ErrUnsigned):
		return unsigned
	case errors.Is(err, order.ErrBadMAC):
		return forged
	case errors.Is(err, order.ErrNewerVersion):
		return newer
	default:
		return unreadable
	}
}
