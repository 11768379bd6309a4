package reconcile_test

import (
	"context"
	"errors"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"seckill/order"
	"seckill/order/memory"
	"seckill/order/mysql"
	"seckill/stock"
)

// checkedStore is the store on MySQL as the parts of package reconcile see it:
// it has one sale, and whatever it decides the model has to decide as well.
type checkedStore struct {
	*mysql.Store

	m     *machine
	model *memory.Store
}

func (s *checkedStore) Sales(ctx context.Context) ([]order.Sale, error) {
	sale, err := s.Sale(ctx, s.m.saleID)
	return []order.Sale{sale}, err
}

func (s *checkedStore) Settle(ctx context.Context, batch []order.Order) ([]order.Verdict, error) {
	sure := s.m.wire.next.Load() == commitAnswered
	got, err := s.Store.Settle(ctx, batch)
	require.NoError(s.m.t, err)
	want, err := s.model.Settle(ctx, batch)
	require.NoError(s.m.t, err)
	s.agree(want, got, sure)
	return got, nil
}

func (s *checkedStore) Void(ctx context.Context, o order.Order) (order.Verdict, error) {
	got, err := s.Store.Void(ctx, o)
	require.NoError(s.m.t, err)
	want, err := s.model.Void(ctx, o)
	require.NoError(s.m.t, err)
	s.agree([]order.Verdict{want}, []order.Verdict{got}, true)
	return got, nil
}

func (s *checkedStore) Cancel(ctx context.Context, id order.ID) (order.Verdict, error) {
	sure := s.m.wire.next.Load() == commitAnswered
	got, err := s.Store.Cancel(ctx, id)
	want, modelErr := s.model.Cancel(ctx, id)
	s.sameError(modelErr, err)
	s.agree([]order.Verdict{want}, []order.Verdict{got}, sure)
	return got, err
}

// Expire cancels what the machine has made overdue, one order at a time.
func (s *checkedStore) Expire(ctx context.Context, saleID int64, after uint64) (order.Expiry, error) {
	sure := s.m.wire.next.Load() == commitAnswered
	got, err := s.Store.Expire(ctx, saleID, after)
	require.NoError(s.m.t, err)
	if id := s.m.overdue; id != 0 && (len(got.Verdicts) > 0 || !sure) {
		want, err := s.model.Cancel(ctx, id)
		require.NoError(s.m.t, err)
		if len(got.Verdicts) > 0 {
			s.agree([]order.Verdict{want}, got.Verdicts, sure)
		}
		s.m.overdue = 0
	}
	return got, nil
}

func (s *checkedStore) Pay(ctx context.Context, p order.Payment) (order.Receipt, error) {
	sure := s.m.wire.next.Load() == commitAnswered
	got, err := s.Store.Pay(ctx, p)
	want, modelErr := s.model.Pay(ctx, p)
	s.sameError(modelErr, err)
	require.Equal(s.m.t, want.Outcome, got.Outcome)
	s.agree([]order.Verdict{want.Verdict}, []order.Verdict{got.Verdict}, sure)
	return got, err
}

func (s *checkedStore) Operate(ctx context.Context, op order.Operation) (order.Sale, error) {
	got, err := s.Store.Operate(ctx, op)
	want, modelErr := s.model.Operate(ctx, op)
	s.sameError(modelErr, err)
	require.Equal(s.m.t, []any{want.Total, want.Available, want.State}, []any{got.Total, got.Available, got.State})
	return got, err
}

func (s *checkedStore) sameError(want, got error) {
	for _, known := range []error{order.ErrNotFound, order.ErrConflict} {
		require.Equal(s.m.t, errors.Is(want, known), errors.Is(got, known), "model: %v, MySQL: %v", want, got)
	}
	require.Equal(s.m.t, want == nil, got == nil, "model: %v, MySQL: %v", want, got)
}

// agree compares verdicts. A transaction whose COMMIT was not answered reads
// what it came to, without its seq.
func (s *checkedStore) agree(want, got []order.Verdict, sure bool) {
	require.Len(s.m.t, got, len(want))
	for i, w := range want {
		g := got[i]
		require.True(s.m.t, order.Same(w.Order, g.Order))
		require.Equal(s.m.t, []any{w.Status, w.Reason}, []any{g.Status, g.Reason}, "order %d of %s", g.ID, g.ShopperID)
		if w.Status.Live() {
			require.Equal(s.m.t, []any{w.Slot, w.Quantity, w.Key}, []any{g.Slot, g.Quantity, g.Key})
		}
		require.True(s.m.t, g.Seq == w.Seq || !sure && g.Seq == 0, "seq %d, model %d", g.Seq, w.Seq)
	}
}

// sink is Redis as who has committed a change sees it: the write-back arrives,
// arrives twice, comes late, or never.
type sink struct {
	*stock.Ledger

	m *machine
}

func (s sink) Apply(ctx context.Context, cs []order.Change) error {
	if len(cs) == 0 {
		return nil
	}
	how := "now"
	if !s.m.healing {
		how = rapid.SampledFrom([]string{"now", "now", "twice", "late", "late", "lost"}).Draw(s.m.t, "write-back")
	}
	switch how {
	case "twice":
		if err := s.Ledger.Apply(ctx, cs); err != nil {
			return err
		}
	case "late":
		s.m.late = append(s.m.late, cs...)
		return nil
	case "lost":
		return nil
	}
	return s.Ledger.Apply(ctx, cs)
}

// settlers are the process's own settling workers.
type settlers struct{ m *machine }

func (p settlers) Settle(ctx context.Context, os []order.Order) error {
	vs, err := p.m.store.Settle(ctx, os)
	if err != nil {
		return err
	}
	p.m.writeBack(vs) //nolint:contextcheck // no step is ever cut short
	return nil
}
