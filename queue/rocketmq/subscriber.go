package rocketmq

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"seckill/internal/loop"
)

const (
	defaultHandlers = 64
	defaultDrain    = 10 * time.Second

	handleFirst = 100 * time.Millisecond // before a failed delivery is handled again
	handleMax   = 5 * time.Second

	openEvery    = time.Second // while there is no consumer
	checkEvery   = time.Second
	rebuildDrain = time.Second // for handlers in progress when the consumer is replaced
	// reopenFirst and reopenMax are the time between rebuilds that do not help: each one
	// leaves goroutines of the client behind, some for a day or longer.
	reopenFirst = 2 * time.Second
	reopenMax   = time.Minute
)

// SubscriberOptions must have a Handle.
type SubscriberOptions struct {
	// Handle handles one delivery of 1 to 256 messages of one queue; up to Handlers of
	// them run at once. Nil acknowledges the delivery. After an error or a panic it is
	// called again with the same messages, with backoff. While handlers wait, nothing
	// more is pulled. ctx is done when DrainTimeout is over.
	Handle       func(ctx context.Context, batch []Message) error
	Traced       bool          // messages are delivered with their Traceparent
	Handlers     int           // 0 is 64
	DrainTimeout time.Duration // 0 is 10 s
	// Observe is called for events: delivered, handled, failed, panicked (with the number
	// of messages), opened, rebuilt (0). It may be nil.
	Observe func(event string, messages int)
}

// Subscriber delivers the messages of a topic to a handler, at least once each.
type Subscriber struct {
	opts  Options
	sopts SubscriberOptions
	rpc   *caller
	gate  *gateway
	watch *watch

	slots  chan struct{} // bounds handlers across rebuilds
	active atomic.Int64  // deliveries in progress or waiting
	ran    atomic.Bool
	now    atomic.Pointer[intake] // nil while there is none
}

// NewSubscriber checks the options; Run connects. The error is ErrOptions.
func NewSubscriber(opts Options, sopts SubscriberOptions) (*Subscriber, error) {
	opts, err := opts.checked()
	if err != nil {
		return nil, err
	}
	if opts.Group == "" || sopts.Handle == nil {
		return nil, fmt.Errorf("%w: a subscriber needs a group and a handler", ErrOptions)
	}
	if sopts.Handlers <= 0 {
		sopts.Handlers = defaultHandlers
	}
	if sopts.DrainTimeout <= 0 {
		sopts.DrainTimeout = defaultDrain
	}
	if sopts.Observe == nil {
		sopts.Observe = func(string, int) {}
	}
	setUpClient(opts.Log)
	s := &Subscriber{opts: opts, sopts: sopts, rpc: newCaller(opts), gate: newGateway(opts), slots: make(chan struct{}, sopts.Handlers)}
	s.watch = newWatch(opts, s.rpc)
	return s, nil
}

// Run consumes until ctx is done, then waits up to DrainTimeout for the handlers in
// progress, acknowledges what they handled and returns nil. While the broker is down,
// also at the start, it waits. A Subscriber runs once.
func (s *Subscriber) Run(ctx context.Context) error {
	if s.ran.Swap(true) {
		return fmt.Errorf("%w: a subscriber runs once", ErrOptions)
	}
	defer s.rpc.close()
	defer s.gate.close()
	hctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	var (
		in     *intake
		gap    = reopenFirst
		why    string // in must be replaced
		logged bool
	)
	for ctx.Err() == nil {
		if in == nil {
			var err error
			if in, err = s.open(ctx, hctx); err != nil {
				s.warnOnce(ctx, &logged, err)
				_ = loop.Pause(ctx, openEvery)
				continue
			}
			logged = false
			s.now.Store(in)
			s.sopts.Observe("opened", 0)
		}
		in.persist()
		why = cmp.Or(s.watch.check(ctx, in, s.active.Load()), why)
		if why != "" && s.replaceable(in, gap) {
			s.opts.Log.WarnContext(ctx, "consumer rebuilt", "why", why, "topic", s.opts.Topic)
			gap = nextReopen(gap, in)
			s.now.Store(nil)
			in.close(rebuildDrain, func() {})
			in, why = nil, ""
			s.watch.reset()
			s.sopts.Observe("rebuilt", 0)
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	if in != nil {
		in.close(s.sopts.DrainTimeout, cancel)
	}
	return nil
}

// Client returns the name of the consumer that is connected now, as in Member; "" for
// none. A consumer that replaces another has a new name.
func (s *Subscriber) Client() string {
	if in := s.now.Load(); in != nil {
		return in.name
	}
	return ""
}

// Joined reports whether the broker counts this consumer among those of the group: only
// then does it get queues.
func (s *Subscriber) Joined() bool {
	in := s.now.Load()
	if in == nil {
		return false
	}
	_, assigned := in.progress()
	return assigned
}

// replaceable reports whether in, which does not work, may be replaced now. Without a
// route, a new one is impossible; this one recovers by itself later.
func (s *Subscriber) replaceable(in *intake, gap time.Duration) bool {
	return s.watch.routed && time.Since(in.opened) >= gap
}

// nextReopen returns the minimum age of the next consumer before it may be replaced:
// longer if the last one delivered nothing and did not last.
func nextReopen(gap time.Duration, in *intake) time.Duration {
	if in.delivered.Load() > 0 || time.Since(in.opened) > reopenMax {
		return reopenFirst
	}
	return min(2*gap, reopenMax)
}

// warnOnce logs that there is no connection, unless that is logged already.
func (s *Subscriber) warnOnce(ctx context.Context, logged *bool, err error) {
	if !*logged && ctx.Err() == nil {
		s.opts.Log.LogAttrs(ctx, slog.LevelWarn, "consumer not connected", slog.Any("err", err))
		*logged = true
	}
}

// handle calls the handler once and returns a panic as an error.
func (s *Subscriber) handle(ctx context.Context, batch []Message) (err error) {
	defer func() {
		if v := recover(); v != nil {
			s.sopts.Observe("panicked", len(batch))
			s.opts.Log.ErrorContext(ctx, "handler panicked", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			err = fmt.Errorf("rocketmq: handler panicked: %v", v)
		}
	}()
	return s.sopts.Handle(ctx, batch)
}
