package reconcile_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/order"
	"seckill/reconcile"
	"seckill/stock"
)

// history is a sale with so many changes, and a Redis that applies them in order.
type history struct {
	last, applied  uint64
	reads          []uint64 // after which change
	readErr, apply error
}

func (h *history) Sales(context.Context) ([]order.Sale, error) {
	return []order.Sale{{ID: 1, State: order.SaleOpen, Seq: h.last}}, nil
}

func (h *history) Metas(context.Context, []int64) ([]stock.Meta, error) {
	return []stock.Meta{{Loaded: true, Applied: h.applied}}, nil
}

func (h *history) Changes(_ context.Context, saleID int64, after uint64, limit int) (cs []order.Change, err error) {
	h.reads = append(h.reads, after)
	for seq := after + 1; seq <= h.last && len(cs) < limit; seq++ {
		cs = append(cs, order.Change{SaleID: saleID, Seq: seq})
	}
	return cs, h.readErr
}

func (h *history) Apply(_ context.Context, cs []order.Change) error {
	for _, c := range cs {
		if c.Seq != h.applied+1 {
			return errors.New("not the next change")
		}
		h.applied = c.Seq
	}
	return h.apply
}

func TestTheTailReadsWhatIsMissingInPagesAndNothingElse(t *testing.T) {
	t.Parallel()
	h := &history{last: 130}
	tail := reconcile.NewTail(h, h)
	require.NoError(t, tail.Step(t.Context()))
	require.Empty(t, h.reads, "write-backs of this second are on their way")
	require.NoError(t, tail.Step(t.Context()))
	require.Equal(t, []uint64{0, 64, 128}, h.reads)
	require.EqualValues(t, 130, h.applied)
	require.NoError(t, tail.Step(t.Context()))
	require.Len(t, h.reads, 3, "Redis has everything")

	h.last, h.reads = 130+64, nil
	require.NoError(t, tail.CatchUp(t.Context(), 1, 130))
	require.Equal(t, []uint64{130, 194}, h.reads, "after a full page there may be more")
}

func TestTheTailReportsWhatItCannotReadOrApply(t *testing.T) {
	t.Parallel()
	away := errors.New("away")
	h := &history{last: 3, readErr: away}
	tail := reconcile.NewTail(h, h)
	require.EqualError(t, tail.CatchUp(t.Context(), 1, 0), "read changes of sale 1: away")
	h = &history{last: 3, apply: away}
	tail = reconcile.NewTail(h, h)
	require.EqualError(t, tail.CatchUp(t.Context(), 1, 0), "apply changes of sale 1: away")
}
