package rocketmq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	client "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/stretchr/testify/require"

	"seckill/internal/loop"
	"seckill/order"
	"seckill/queue"
)

// scripted is a producer that does as send says, and records when it was called.
type scripted struct {
	client.Producer
	send func(ctx context.Context, try int, m *primitive.Message) error

	mu    sync.Mutex
	tries []time.Time
}

func (s *scripted) SendSync(ctx context.Context, ms ...*primitive.Message) (*primitive.SendResult, error) {
	s.mu.Lock()
	s.tries = append(s.tries, time.Now())
	try := len(s.tries)
	s.mu.Unlock()
	if err := s.send(ctx, try, ms[0]); err != nil {
		return nil, err
	}
	return &primitive.SendResult{Status: primitive.SendOK}, nil
}

func busy(context.Context, int, *primitive.Message) error { return errors.New("CODE: 2, DESC: busy") }

func testOptions(t *testing.T) Options {
	t.Helper()
	opts, err := Options{NameServers: []string{nobody}, Topic: "t", Group: "g", Log: slog.New(slog.DiscardHandler)}.checked()
	require.NoError(t, err)
	return opts
}

// publish runs f with a publisher on a producer, which has as many senders.
func publish(t *testing.T, fake *scripted, popts PublisherOptions, f func(*Publisher)) {
	t.Helper()
	popts.Signer = testSigner(t)
	p := newPublisher(testOptions(t), popts)
	p.link.cur.Store(&connection{client: fake})
	for range p.opts.Senders {
		p.senders.Go(p.sendAll)
	}
	f(p)
	close(p.queue)
	p.senders.Wait()
	p.link.calls.Wait()
}

func requireBackoff(t *testing.T, tries []time.Time) {
	t.Helper()
	wait := retryFirst
	for i := 1; i < len(tries); i++ {
		require.InDelta(t, wait, tries[i].Sub(tries[i-1]), float64(wait/2), "before try %d", i+1)
		wait = min(2*wait, retryMax)
	}
	took := tries[len(tries)-1].Sub(tries[0])
	require.Less(t, took, batchBudget-minTry, "no try without time for it")
	require.Greater(t, took, batchBudget-minTry-retryMax*3/2, "as long as there is time")
}

func TestABatchIsTriedAgainAtGrowingDistances(t *testing.T) {
	t.Parallel()
	for range 20 { // the distances are random
		synctest.Test(t, func(t *testing.T) {
			fake := &scripted{send: busy}
			var outcomes []string
			publish(t, fake, PublisherOptions{Observe: func(outcome string, batch int, _ time.Duration) {
				outcomes = append(outcomes, fmt.Sprint(batch, " ", outcome))
			}}, func(p *Publisher) {
				err := p.Publish(t.Context(), order.Order{ID: 1, SaleID: 1, ShopperID: "a", Quantity: 1})
				require.ErrorIs(t, err, ErrNotStored)
				requireBackoff(t, fake.tries)
				fake.send = func(context.Context, int, *primitive.Message) error { return nil }
				require.NoError(t, p.Publish(t.Context(), order.Order{ID: 2, SaleID: 1, ShopperID: "a", Quantity: 1}))
			})
			require.Equal(t, []string{"1 not_stored", "1 stored"}, outcomes)
		})
		synctest.Test(t, func(t *testing.T) {
			fake := &scripted{send: busy}
			p := &EventPublisher{topic: "t", link: newLink(testOptions(t))}
			p.link.cur.Store(&connection{client: fake})
			require.ErrorIs(t, p.sendBatch(t.Context(), place{"a", 0}, nil), ErrNotStored)
			requireBackoff(t, fake.tries)
			p.link.calls.Wait()
		})
	}
}

func TestABatchOfEventsIsTriedUntilItIsKnownHowItEnds(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		errs  []error // of the tries
		want  error
		tries int
	}{
		"stored":                {[]error{nil}, nil, 1},
		"stored at last":        {[]error{errStuck, errors.New("CODE: 2"), nil}, nil, 3},
		"refused":               {[]error{errors.New("CODE: 13, DESC: no")}, ErrNotStored, 1},
		"refused, after no one": {[]error{context.DeadlineExceeded, errors.New("CODE: 13, DESC: no")}, ErrUnknown, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				fake := &scripted{send: func(_ context.Context, try int, _ *primitive.Message) error { return tt.errs[try-1] }}
				p := &EventPublisher{topic: "t", link: newLink(testOptions(t))}
				p.link.cur.Store(&connection{client: fake})
				require.ErrorIs(t, p.sendBatch(t.Context(), place{"a", 0}, nil), tt.want)
				require.Len(t, fake.tries, tt.tries)
				p.link.calls.Wait()
			})
		})
	}
}

func TestEventsAreSentInBatchesOfABoundedSize(t *testing.T) {
	t.Parallel()
	small, large := strings.Repeat("x", 10), strings.Repeat("x", eventBatchBytes/4)
	for name, tt := range map[string]struct {
		events int
		body   string
		want   []int // events by batch
	}{
		"one":            {1, small, []int{1}},
		"as many as fit": {eventBatch, small, []int{eventBatch}},
		"one more":       {eventBatch + 1, small, []int{eventBatch, 1}},
		"twice as many":  {2 * eventBatch, small, []int{eventBatch, eventBatch}},
		"large ones":     {5, large, []int{4, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var batches []int
				fake := &scripted{send: func(_ context.Context, _ int, m *primitive.Message) error {
					batches = append(batches, strings.Count(string(m.Body), "TAGS\x01paid"))
					return nil
				}}
				p := &EventPublisher{topic: "t", link: newLink(testOptions(t))}
				p.link.cur.Store(&connection{client: fake})
				s := eventShare{place: place{"a", 0}}
				for range tt.events {
					s.messages = append(s.messages, queue.EventMessage{ID: "5-2-1000", OrderID: 1000, Status: order.StatusPaid, Body: []byte(tt.body)})
				}
				require.NoError(t, p.sendShare(t.Context(), s))
				require.Equal(t, tt.want, batches)
				fake.send = func(context.Context, int, *primitive.Message) error { return errors.New("CODE: 13, DESC: no") }
				fake.tries = nil
				require.ErrorIs(t, p.sendShare(t.Context(), s), ErrNotStored)
				require.Len(t, fake.tries, 1, "what follows waits")
				p.link.calls.Wait()
			})
		})
	}
}

// The sender still answers an order whose caller gave up. Nobody else may get that
// answer.
func TestAnAnswerThatComesTooLateIsNobodysElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := &scripted{send: func(ctx context.Context, _ int, m *primitive.Message) error {
			if strings.Contains(string(m.Body), "alice") {
				<-ctx.Done() // for a second, two and a half times
				return ctx.Err()
			}
			return loop.Pause(ctx, 900*time.Millisecond)
		}}
		publish(t, fake, PublisherOptions{Senders: 2}, func(p *Publisher) {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			require.ErrorIs(t, p.Publish(ctx, order.Order{ID: 1, SaleID: 1, ShopperID: "alice", Quantity: 1}), ErrUnknown)
			time.Sleep(batchBudget - 500*time.Millisecond)
			require.NoError(t, p.Publish(t.Context(), order.Order{ID: 2, SaleID: 1, ShopperID: "bobby", Quantity: 1}))
		})
	})
}

func TestALinkLearnsFromEveryTry(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		outcome  outcome
		err      error
		timeouts int
		wrong    bool
		shunned  bool
		woken    bool
	}{
		"stored":    {stored, nil, 0, false, false, false},
		"no answer": {unclear, context.DeadlineExceeded, 2, false, true, true},
		"busy":      {notStored, errors.New("CODE: 2"), 1, false, true, true},
		"refused":   {refused, errors.New("CODE: 13"), 1, false, false, true},
		"stuck":     {unclear, errStuck, 1, true, false, true},
		"no route":  {notStored, errors.New("topic=T route info not found"), 1, true, false, true},
	} {
		l := newLink(testOptions(t))
		l.timeouts.Store(1)
		m := batchMessage("T", nil)
		m.Queue.BrokerName = "a"
		for range 2 { // the second wakes nobody, and does not wait for that
			if l.timeouts.Store(1); len(l.wake) == 0 || tt.woken {
				l.learn(tt.outcome, tt.err, m)
			}
		}
		require.EqualValues(t, tt.timeouts, l.timeouts.Load(), name)
		require.Equal(t, []bool{tt.wrong, tt.shunned, tt.woken}, []bool{l.wrong.Load(), l.pick.avoided("a"), len(l.wake) == 1}, name)
	}
}

func TestAProducerIsReplacedWhenANewOneWouldWorkBetter(t *testing.T) {
	t.Parallel()
	broker, _ := brokerWith(t, nil)
	for name, tt := range map[string]struct {
		broker, server string // "": one that answers
		wrong          bool
		queues         int
		timeouts       int32
		want           bool
	}{
		"all is well":                {"", "", false, 2, 0, false},
		"it is known to be wrong":    {"", "", true, 2, 0, true},
		"the topic has more queues":  {"", "", false, 1, 0, true},
		"one try without an answer":  {"", "", false, 2, 1, false},
		"two, and the broker is up":  {"", "", false, 2, 2, true},
		"two, and the broker is not": {nobody, "", false, 2, 2, false},
		"nobody knows a route":       {"", nobody, true, 2, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := tt.broker
			if addr == "" {
				addr = broker
			}
			opts := testOptions(t)
			if tt.server == "" {
				server, _ := brokerWith(t, map[int]answer{codeRoute: {body: []byte(strings.Replace(oneBroker, "10.0.0.1:10911", addr, 1))}})
				opts.NameServers = []string{server}
			}
			l := newLink(opts)
			t.Cleanup(l.rpc.close)
			l.cur.Store(&connection{route: []shard{{"a", addr, tt.queues}}})
			l.wrong.Store(tt.wrong)
			l.timeouts.Store(tt.timeouts)
			require.Equal(t, tt.want, l.stale(t.Context()))
		})
	}
}

func TestRebuildsThatDoNotHelpBecomeRarer(t *testing.T) {
	t.Parallel()
	l := newLink(testOptions(t))
	gap := rebuildEvery
	for _, want := range []time.Duration{4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second, 30 * time.Second} {
		l.timeouts.Store(1)
		gap = l.nextGap(gap)
		require.Equal(t, want, gap)
	}
	require.Equal(t, rebuildEvery, l.nextGap(gap), "no send has failed since")
}
