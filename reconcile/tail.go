package reconcile

import (
	"context"
	"errors"
	"fmt"

	"seckill/order"
)

type changeLog interface {
	sales
	Changes(ctx context.Context, saleID int64, after uint64, limit int) ([]order.Change, error)
}

type changeSink interface {
	metas
	Apply(ctx context.Context, cs []order.Change) error
}

// Tail replays the changes after a sale's cursor to Redis: lost write-backs,
// operators' commands, and everything that a Redis restored from older data has
// lost.
type Tail struct {
	log  changeLog
	sink changeSink
	// seen is each sale's last change at the previous step. The write-back of a
	// younger change is still on its way.
	seen map[int64]uint64
}

// NewTail returns a Tail; call Step once a second, from one goroutine.
func NewTail(log changeLog, sink changeSink) *Tail {
	return &Tail{log: log, sink: sink, seen: map[int64]uint64{}}
}

const (
	tailPage  = 64  // changes read at a time: 16,384 orders at most
	tailPages = 256 // a step; the next one goes on
)

// Step replays what is missing in each loaded sale. Operators' commands are
// pushed when they are given, so they wait for a step only when the push was lost.
func (t *Tail) Step(ctx context.Context) error {
	ss, err := t.log.Sales(ctx)
	if err != nil {
		return fmt.Errorf("list sales: %w", err)
	}
	ms, err := t.sink.Metas(ctx, order.SaleIDs(ss))
	errs := []error{err} // a shard that is down does not delay the sales of others
	due := t.seen
	t.seen = make(map[int64]uint64, len(ss))
	for i, s := range ss {
		t.seen[s.ID] = s.Seq
		if m := ms[i]; m.Err == nil && m.Loaded && m.Applied < due[s.ID] {
			errs = append(errs, t.CatchUp(ctx, s.ID, m.Applied))
		}
	}
	return errors.Join(errs...)
}

// CatchUp applies a sale's changes after the given one, in order.
func (t *Tail) CatchUp(ctx context.Context, saleID int64, after uint64) error {
	for range tailPages {
		cs, err := t.log.Changes(ctx, saleID, after, tailPage)
		if err != nil {
			return fmt.Errorf("read changes of sale %d: %w", saleID, err)
		}
		if len(cs) == 0 {
			return nil
		}
		if err := t.sink.Apply(ctx, cs); err != nil {
			return fmt.Errorf("apply changes of sale %d: %w", saleID, err)
		}
		after = cs[len(cs)-1].Seq
		if len(cs) < tailPage {
			return nil
		}
	}
	return nil
}
