package simulation

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"seckill/event"
	"seckill/order"
	"seckill/queue"
)

// topic is the topic of order events, and its reader: an honest consumer that
// keeps of each order the event with the highest sequence.
type topic struct {
	mu     sync.Mutex
	bodies map[string]string // by event ID
	latest map[string]event.Event
	wrong  []string
}

func newTopic() *topic {
	return &topic{bodies: map[string]string{}, latest: map[string]event.Event{}}
}

func (t *topic) store(ms []queue.EventMessage) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range ms {
		e, err := event.Parse(m.Body)
		body, again := t.bodies[m.ID]
		switch {
		case err != nil || e.ID != m.ID || e.Subject != m.OrderID.String() || e.Data.Status != m.Status:
			t.wrong = append(t.wrong, fmt.Sprintf("message %s of order %d, %s: %s, %v", m.ID, m.OrderID, m.Status, m.Body, err))
		case again && body != string(m.Body):
			t.wrong = append(t.wrong, fmt.Sprintf("event %s was %s and is %s", m.ID, body, m.Body))
		case !again && e.Data.Sequence < t.latest[e.Subject].Data.Sequence:
			t.wrong = append(t.wrong, fmt.Sprintf("event %s comes for the first time after #%d of its order", m.ID, t.latest[e.Subject].Data.Sequence))
		}
		t.bodies[m.ID] = string(m.Body)
		if e.Data.Sequence > t.latest[e.Subject].Data.Sequence {
			t.latest[e.Subject] = e
		}
	}
}

// PublishEvents stores messages: all, none, or some from the front.
func (m *Member) PublishEvents(ctx context.Context, ms []queue.EventMessage) error {
	var t trouble
	_, t.refused = m.p.strikes(sendRefused)
	_, t.lost = m.p.strikes(sendLost)
	_, t.gone = m.p.strikes(sendGone)
	if f, ok := m.p.strikes(sendSlow); ok {
		t.slow = f.delay
	}
	return m.p.call(ctx, t, "events", func() error {
		if t.gone {
			ms = ms[:len(ms)/2]
		}
		m.b.w.topic.store(ms)
		m.p.w.trace.notef(m.p.name, "events %s", ids(ms))
		if t.gone {
			return errors.New("simulated: the broker died in between")
		}
		return nil
	})
}

func ids(ms []queue.EventMessage) (all []string) {
	for _, m := range ms {
		all = append(all, m.ID)
	}
	return all
}

// eventsOf checks that every verdict and change of a sale's orders has its
// event, and that whoever read them knows each order as it is.
func (w *world) eventsOf(ctx context.Context, sale int64, note noteFunc) {
	w.topic.mu.Lock()
	defer w.topic.mu.Unlock()
	for _, wrong := range w.topic.wrong {
		note("%s", wrong)
	}
	rows, _, err := w.store.Orders(ctx, order.Query{SaleID: sale, Limit: 1 << 20})
	if err != nil {
		note("orders of sale %d: %v", sale, err)
	}
	for _, r := range rows {
		e, ok := w.topic.latest[r.ID.String()]
		d := e.Data
		if !ok || d.Status != r.Status || d.Quantity != r.Quantity || d.AmountMinor != r.UnitPrice*int64(r.Quantity) || d.ShopperID != r.ShopperID || d.Reference != r.Reference {
			note("order %d is %s, %d units; its events say %+v", r.ID, r.Status, r.Quantity, d)
		}
	}
	cs, err := w.store.Changes(ctx, sale, 0, 1<<20)
	if err != nil {
		note("changes of sale %d: %v", sale, err)
	}
	due := map[string]bool{}
	for _, c := range cs {
		for _, v := range c.Verdicts {
			id := fmt.Sprintf("%d-%d-%d", sale, c.Seq, v.ID)
			due[id] = due[id] || v.Reason != order.ReasonCollision // a change may decide two orders of one ID
		}
	}
	for id, is := range due {
		if _, came := w.topic.bodies[id]; came != is {
			note("event %s: due %t, came %t", id, is, came)
		}
	}
}
