package simulation

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"seckill/queue"
	"seckill/test/promise"
)

// topic is the topic of order events, with a reader.
type topic struct {
	mu     sync.Mutex
	reader promise.Reader
	wrong  []string
}

func (t *topic) store(ms []queue.EventMessage) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range ms {
		latest := t.reader.Last[m.OrderID.String()].Data.Sequence
		e, again, err := t.reader.Read(m.ID, m.Body)
		switch {
		case err != nil || e.Subject != m.OrderID.String() || (e.Data.Payment == nil) != (e.Data.Status == m.Status):
			t.wrong = append(t.wrong, fmt.Sprintf("message %s of order %d, %s: %s, %v", m.ID, m.OrderID, m.Status, m.Body, err))
		case !again && e.Data.Sequence < latest:
			t.wrong = append(t.wrong, fmt.Sprintf("event %s comes for the first time after #%d of its order", m.ID, latest))
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
