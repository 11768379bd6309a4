package app

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"seckill/internal/loop"
	"seckill/order"
)

var errNoNodeID = errors.New("no node ID yet: MySQL has not responded since the start")

// counters is the counter of node IDs.
type counters interface {
	NextNodeID(ctx context.Context) (int64, error)
	LastNodeID(ctx context.Context) (int64, error)
}

// idSource makes order IDs once MySQL has given the process its node ID.
type idSource struct {
	counters counters
	log      *slog.Logger
	maker    atomic.Pointer[order.IDMaker]
}

func newIDSource(c counters, log *slog.Logger) *idSource {
	return &idSource{counters: c, log: log}
}

// Next returns a new order ID.
func (s *idSource) Next() (order.ID, error) {
	m := s.maker.Load()
	if m == nil {
		return 0, errNoNodeID
	}
	return m.Next()
}

func (s *idSource) ready() error {
	if s.maker.Load() == nil {
		return errNoNodeID
	}
	return nil
}

// run takes a node ID as soon as MySQL responds. Then it watches the counter, and
// takes a new ID before the counter wraps around to this one.
func (s *idSource) run(ctx context.Context) error {
	const retry, watch = 500 * time.Millisecond, 10 * time.Second
	wait := time.Duration(0)
	for loop.Pause(ctx, wait) == nil {
		askCtx, cancel := context.WithTimeout(ctx, askTimeout)
		wait = watch
		if !s.usable(askCtx) && !s.take(askCtx) {
			wait = retry
		}
		cancel()
	}
	return nil
}

// usable reports whether the process may go on using its node ID.
func (s *idSource) usable(ctx context.Context) bool {
	m := s.maker.Load()
	if m == nil {
		return false
	}
	last, err := s.counters.LastNodeID(ctx)
	return err != nil || m.Observe(last) // without a response: the counter moves slowly
}

// take takes a new node ID.
func (s *idSource) take(ctx context.Context) bool {
	n, err := s.counters.NextNodeID(ctx)
	if err != nil {
		s.log.WarnContext(ctx, "no node ID yet", "err", err)
		return false
	}
	s.maker.Store(order.NewIDMaker(n))
	s.log.InfoContext(ctx, "node ID taken", "node_id", n)
	return true
}
