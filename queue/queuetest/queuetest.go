// Package queuetest holds what every queue of orders must keep: the broker and
// the queue in memory pass the same tests.
package queuetest

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
	"seckill/queue"
)

// Handle is what a subscriber calls.
type Handle = func(ctx context.Context, batch []queue.Message) error

// Queue is one empty topic with one group.
type Queue struct {
	Publish     func(ctx context.Context, o order.Order) error
	PublishBody func(ctx context.Context, id string, body []byte) error
	// Subscribe returns the Run of a new subscriber of the group.
	Subscribe  func(h Handle) func(ctx context.Context) error
	Lag        func(ctx context.Context) (int64, error)
	MaxOffsets func(ctx context.Context) (queue.Offsets, error)
	Committed  func(ctx context.Context) (queue.Offsets, error)
}

// patience is how long the slowest queue may take for anything here.
const patience = 20 * time.Second

// Run runs the suite; open returns a queue of its own for each test.
func Run(t *testing.T, open func(t *testing.T) Queue) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Queue){
		"an order comes out as it went in":                       roundTrip,
		"orders published at once come out in batches":           batches,
		"a delivery is handled again after an error":             retry,
		"a delivery is handled again after a panic":              panics,
		"a message published twice is delivered twice":           duplicates,
		"a body that is no order is delivered as it is":          garbage,
		"stopping lets handlers finish and loses nothing":        drain,
		"what a stopped subscriber left undone goes to the next": handOver,
		"lag goes to 0 and the offsets pass the mark":            lag,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

// Order returns a valid order with this ID.
func Order(id int64) order.Order {
	return order.Order{
		ID: order.ID(id), SaleID: 7, ShopperID: fmt.Sprintf("shopper-%d", id),
		Slot: int(id % 16), Quantity: 1 + int(id%3), Key: uint64(id) * 3, Reference: "ref",
	}
}

const key = "a key of nobody but these tests."

// Signer returns the signer of the tests.
func Signer() *order.Signer {
	s, err := order.NewSigner("T", []byte(key))
	if err != nil {
		panic(err)
	}
	return s
}

// Signed appends to a body of any content the MAC that Signer would give it.
func Signed(body []byte) []byte {
	own, err := hkdf.Key(sha256.New, []byte(key), nil, "seckill order message T", sha256.Size)
	if err != nil {
		panic(err)
	}
	h := hmac.New(sha256.New, own)
	h.Write(body)
	return append(body, h.Sum(nil)[:16]...)
}

// sink collects what is delivered.
type sink struct {
	mu   sync.Mutex
	msgs []queue.Message
	most int // messages in one delivery
}

func (s *sink) take(_ context.Context, batch []queue.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.msgs = append(s.msgs, batch...)
	s.most = max(s.most, len(batch))
	return nil
}

func (s *sink) ids() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]string, len(s.msgs))
	for i, m := range s.msgs {
		ids[i] = m.ID
	}
	slices.Sort(ids)
	return ids
}

// start runs a subscriber; the returned function stops it and waits.
func start(t *testing.T, q Queue, h Handle) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	run := q.Subscribe(h)
	go func() { done <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
	t.Cleanup(stop)
	return stop
}

func publish(t *testing.T, q Queue, n int) (ids []string) {
	t.Helper()
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		o := Order(int64(1000 + i))
		ids = append(ids, o.ID.String())
		wg.Go(func() { errs[i] = q.Publish(t.Context(), o) })
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	return ids
}

func eventually(t *testing.T, ok func() bool, msg string) {
	t.Helper()
	require.Eventually(t, ok, patience, 10*time.Millisecond, msg)
}

func roundTrip(t *testing.T, q Queue) {
	t.Helper()
	var got sink
	start(t, q, got.take)
	want := Order(4242)
	before := time.Now()
	require.NoError(t, q.Publish(t.Context(), want))
	eventually(t, func() bool { return len(got.ids()) == 1 }, "not delivered")
	m := got.msgs[0]
	require.Equal(t, "4242", m.ID)
	require.False(t, m.Redelivered)
	require.WithinDuration(t, before, m.StoredAt, 5*time.Second)
	o, err := order.DecodeMessage(m.Body)
	require.NoError(t, err)
	require.Equal(t, want, o)
}

func batches(t *testing.T, q Queue) {
	t.Helper()
	ids := publish(t, q, 500)
	var got sink
	start(t, q, got.take)
	eventually(t, func() bool { return len(got.ids()) >= len(ids) }, "not all delivered")
	require.Equal(t, ids, got.ids(), "each once, under its own ID")
	require.Greater(t, got.most, 1, "never more than one in a delivery")
	for _, m := range got.msgs {
		o, err := order.DecodeMessage(m.Body)
		require.NoError(t, err)
		require.Equal(t, o.ID.String(), m.ID)
	}
}

func retry(t *testing.T, q Queue) {
	t.Helper()
	var got sink
	var calls atomic.Int64
	start(t, q, func(ctx context.Context, batch []queue.Message) error {
		if calls.Add(1) <= 2 {
			return errors.New("not now")
		}
		return got.take(ctx, batch)
	})
	publish(t, q, 1)
	eventually(t, func() bool { return len(got.ids()) == 1 }, "not handled again")
	require.EqualValues(t, 3, calls.Load())
}

func panics(t *testing.T, q Queue) {
	t.Helper()
	var got sink
	var once sync.Once
	start(t, q, func(ctx context.Context, batch []queue.Message) error {
		once.Do(func() { panic("boom") })
		return got.take(ctx, batch)
	})
	ids := publish(t, q, 20)
	eventually(t, func() bool { return len(got.ids()) == len(ids) }, "not handled again")
	require.Equal(t, ids, got.ids())
}

func duplicates(t *testing.T, q Queue) {
	t.Helper()
	var got sink
	start(t, q, got.take)
	for range 2 {
		require.NoError(t, q.Publish(t.Context(), Order(5)))
	}
	eventually(t, func() bool { return len(got.ids()) == 2 }, "one was dropped")
	require.Equal(t, []string{"5", "5"}, got.ids())
}

func garbage(t *testing.T, q Queue) {
	t.Helper()
	var got sink
	start(t, q, got.take)
	bodies := map[string][]byte{"9": []byte("{"), "10": {0xff, 0, 1, 2}, "11": []byte("plain text")}
	for id, body := range bodies {
		require.NoError(t, q.PublishBody(t.Context(), id, body))
	}
	eventually(t, func() bool { return len(got.ids()) == len(bodies) }, "not delivered")
	for _, m := range got.msgs {
		require.Equal(t, bodies[m.ID], m.Body)
	}
}

// drain stops a subscriber while a handler is busy.
func drain(t *testing.T, q Queue) {
	t.Helper()
	var got sink
	entered, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	stop := start(t, q, func(ctx context.Context, batch []queue.Message) error {
		once.Do(func() { close(entered) })
		<-release
		return got.take(ctx, batch)
	})
	publish(t, q, 1)
	<-entered
	time.AfterFunc(300*time.Millisecond, func() { close(release) })
	stop()
	require.Len(t, got.ids(), 1, "the handler was not waited for")
	eventually(t, func() bool { n, err := q.Lag(t.Context()); return err == nil && n == 0 }, "not acknowledged")

	var again sink
	start(t, q, again.take)
	require.NoError(t, q.Publish(t.Context(), Order(77)))
	eventually(t, func() bool { return slices.Contains(again.ids(), "77") }, "not delivered")
	require.Equal(t, []string{"77"}, again.ids(), "what was acknowledged came again")
}

// handOver stops a subscriber whose handler fails.
func handOver(t *testing.T, q Queue) {
	t.Helper()
	var calls atomic.Int64
	stop := start(t, q, func(context.Context, []queue.Message) error {
		calls.Add(1)
		return errors.New("never")
	})
	ids := publish(t, q, 50)
	eventually(t, func() bool { return calls.Load() > 0 }, "not delivered")
	stop()
	eventually(t, func() bool { n, err := q.Lag(t.Context()); return err == nil && n == int64(len(ids)) }, "something was acknowledged")

	var got sink
	start(t, q, got.take)
	eventually(t, func() bool { return len(got.ids()) >= len(ids) }, "not delivered again")
	require.Equal(t, ids, got.ids())
}

func lag(t *testing.T, q Queue) {
	t.Helper()
	n, err := q.Lag(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
	ids := publish(t, q, 200)
	eventually(t, func() bool { n, err := q.Lag(t.Context()); return err == nil && n == int64(len(ids)) }, "lag does not grow")
	mark, err := q.MaxOffsets(t.Context())
	require.NoError(t, err)
	at, err := q.Committed(t.Context())
	require.NoError(t, err)
	require.False(t, at.Passed(mark))

	var got sink
	start(t, q, got.take)
	eventually(t, func() bool { return len(got.ids()) >= len(ids) }, "not all delivered")
	require.Eventually(t, func() bool { n, err := q.Lag(t.Context()); return err == nil && n == 0 },
		5*time.Second, 10*time.Millisecond, "the resolver waits 8 s for the offsets")
	require.Equal(t, ids, got.ids())
	at, err = q.Committed(t.Context())
	require.NoError(t, err)
	require.True(t, at.Passed(mark))
	require.Zero(t, at.Behind(mark))
}
