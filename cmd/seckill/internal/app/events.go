package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"seckill/event"
	"seckill/internal/config"
	"seckill/internal/loop"
	"seckill/order"
)

// events is the part of the consumer role that publishes order events.
type events struct {
	relay *event.Relay
	topic eventTopic
	log   *slog.Logger
}

// newRelay opens the topic of events. If the consumer has the keys of order IDs, the
// events contain public IDs.
func newRelay(cfg config.Config, b *backend, reg prometheus.Registerer, log *slog.Logger) (*events, error) {
	o := event.Options{Store: b.store, Metrics: reg, Log: log}
	if len(cfg.Auth.IDKeys) > 0 {
		sealer, err := order.NewSealer(cfg.Auth.IDKeys...)
		if err != nil {
			return nil, badSetting("SECKILL_ID_KEYS", err)
		}
		o.Seal = sealer.Seal
	}
	topic, err := b.queue.events()
	if err != nil {
		return nil, badSetting("SECKILL_ROCKETMQ_*", err)
	}
	o.Publisher = topic
	return &events{event.NewRelay(o), topic, log}, nil
}

// releaseTimeout bounds the hand-over to the other processes.
const releaseTimeout = 2 * time.Second

// run publishes until ctx is done, then hands the sales over to other processes.
func (e *events) run(ctx context.Context) error {
	err := loop.EverySecond(ctx, e.log, "events", e.relay.Step)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if err := e.relay.Release(ctx); err != nil { // other processes take over some seconds later
		e.log.WarnContext(ctx, "events not released", "err", err)
	}
	return errors.Join(err, e.topic.Close(ctx))
}
