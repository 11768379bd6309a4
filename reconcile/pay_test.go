package reconcile_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/catalog"
	"seckill/order"
	"seckill/order/memory"
	"seckill/payment"
	"seckill/reconcile"
)

func unguarded(fn func() error) error { return fn() }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// buy returns so many confirmed orders, which Redis knows of.
func (s *shop) buy(t *testing.T, n int) []order.Order {
	t.Helper()
	os := s.reserve(t, n)
	require.NoError(t, pool{s}.Settle(t.Context(), os))
	return os
}

// shortly opens a shop whose orders have a second to be paid.
func shortly(t *testing.T, units int) *shop {
	t.Helper()
	s := open(t, 1, 1)
	sale, err := s.store.CreateSale(t.Context(), order.Sale{
		ID: 8, Title: "t", PriceMinor: 100, Currency: "CNY", Total: units, OrdersPerShopper: 1, UnitsPerOrder: 5,
		StartsAt: time.Now().Add(-time.Minute).UTC(), EndsAt: time.Now().Add(time.Hour).UTC(), PayWithin: time.Second,
	})
	require.NoError(t, err)
	s.sale, err = s.store.SetSaleState(t.Context(), "open-8", sale.ID, order.SaleOpen)
	require.NoError(t, err)
	require.NoError(t, s.loader.Load(t.Context(), sale.ID))
	return s
}

func TestPaymentService_PutsACancelledUnitOnSaleAtOnce(t *testing.T) {
	t.Parallel()
	s := open(t, 2, 1)
	os := s.buy(t, 2)
	catalog := catalog.New(s.store.Sales, s.ledger, quiet())
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- catalog.Run(ctx) }()
	soldOut := func() bool { c, ok := catalog.Get(s.sale.ID); return ok && c.SoldOut() }
	require.Eventually(t, soldOut, 5*time.Second, time.Millisecond)

	payments := payment.New(s.store, s.ledger, unguarded, quiet())
	v, err := payments.Cancel(t.Context(), os[0].ID)
	require.NoError(t, err)
	require.Equal(t, order.StatusCancelled, v.Status)
	require.EqualValues(t, 1, s.meta(t).Available)
	require.Eventually(t, func() bool { return !soldOut() }, time.Second, time.Millisecond, "the flag clears within a second")
	s.buy(t, 1)
	require.Empty(t, s.audit(t).Discrepancies)
	cancel()
	require.NoError(t, <-ran)
}

func TestPaymentService_LeavesToTheTailWhatCannotBeWrittenToRedis(t *testing.T) {
	t.Parallel()
	s := open(t, 3, 1)
	os := s.buy(t, 3)
	s.redis.SetError("away")
	payments := payment.New(s.store, s.ledger, unguarded, quiet())
	_, err := payments.Cancel(t.Context(), os[0].ID)
	require.NoError(t, err, "it is cancelled, even if Redis is away")
	r, err := payments.Pay(t.Context(), order.Payment{EventID: "e", OrderID: os[1].ID, AmountMinor: 1, Currency: "CNY"})
	require.NoError(t, err)
	require.Equal(t, order.OutcomePaid, r.Outcome)
	s.redis.SetError("")
	require.EqualValues(t, 0, s.meta(t).Available)
	tail := reconcile.NewTail(s.store, s.ledger)
	require.NoError(t, tail.Step(t.Context()))
	require.NoError(t, tail.Step(t.Context()))
	require.EqualValues(t, 1, s.meta(t).Available)
	require.Empty(t, s.audit(t).Discrepancies)
}

func TestPaymentService_MovesTheCursorOverAPaymentToBeRefunded(t *testing.T) {
	t.Parallel()
	s := open(t, 3, 1)
	os := s.buy(t, 1)
	payments := payment.New(s.store, s.ledger, unguarded, quiet())
	_, err := payments.Cancel(t.Context(), os[0].ID)
	require.NoError(t, err)
	before := s.meta(t)
	for i, amount := range []int64{1, 2} { // too late, and of a wrong amount
		_, err := payments.Pay(t.Context(), order.Payment{EventID: strconv.Itoa(i), OrderID: os[0].ID, AmountMinor: amount, Currency: "CNY"})
		require.Equal(t, amount == 2, errors.Is(err, order.ErrAmount))
	}
	after := s.meta(t)
	require.Equal(t, before.Applied+2, after.Applied, "later changes need not wait for the tail")
	require.Equal(t, before.Available, after.Available)
	require.Empty(t, s.audit(t).Discrepancies)
}

func TestTheBreakerCountsFaultsAndNotAnswers(t *testing.T) {
	t.Parallel()
	s := open(t, 3, 1)
	os := s.buy(t, 1)
	var seen []error
	payments := payment.New(s.store, s.ledger, func(fn func() error) error {
		err := fn()
		seen = append(seen, err)
		return err
	}, quiet())
	_, err := payments.Cancel(t.Context(), 12345)
	require.ErrorIs(t, err, order.ErrNotFound)
	_, err = payments.Pay(t.Context(), order.Payment{EventID: "e", OrderID: os[0].ID, AmountMinor: 2, Currency: "CNY"})
	require.ErrorIs(t, err, order.ErrAmount)
	require.Equal(t, []error{nil, nil}, seen)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = payments.Cancel(gone, os[0].ID)
	require.Error(t, err)
	require.Error(t, seen[2])
	open := payment.New(s.store, s.ledger, func(func() error) error { return errors.New("open") }, quiet())
	_, err = open.Cancel(t.Context(), os[0].ID)
	require.ErrorContains(t, err, "open")
}

func TestUnpaidOrdersExpireAndTheirUnitsAreSoldAgain(t *testing.T) {
	t.Parallel()
	s := shortly(t, 600)
	os := s.buy(t, 600)
	payments := payment.New(s.store, s.ledger, unguarded, quiet())
	for _, o := range os[:100] {
		_, err := payments.Pay(t.Context(), order.Payment{EventID: o.ID.String(), OrderID: o.ID, AmountMinor: 100, Currency: "CNY"})
		require.NoError(t, err)
	}
	var expired atomic.Int64
	count := func(n int) { expired.Add(int64(n)) }
	one, two := reconcile.NewExpirer(s.store, s.ledger, count, quiet()), reconcile.NewExpirer(s.store, s.ledger, count, quiet())
	require.NoError(t, one.Step(t.Context()))
	done := make(chan struct{})
	go func() { // another process
		defer close(done)
		for expired.Load() < 500 && t.Context().Err() == nil {
			_ = two.Step(t.Context())
			time.Sleep(10 * time.Millisecond)
		}
	}()
	require.Eventually(t, func() bool {
		return one.Step(t.Context()) == nil && expired.Load() == 500
	}, 10*time.Second, 20*time.Millisecond)
	<-done
	m := s.meta(t)
	require.EqualValues(t, 500, m.Available)
	require.EqualValues(t, 100, m.Settled)
	a := s.audit(t)
	require.Empty(t, a.Discrepancies)
	require.EqualValues(t, 100, a.Paid)
	require.EqualValues(t, 500, a.Cancelled)
	s.buy(t, 500)
}

func TestASaleIsEndedOnTimeAndClosedAnHourLater(t *testing.T) {
	t.Parallel()
	s := open(t, 3, 1)
	os := s.buy(t, 2)
	s.queue.end.Store(7)
	j := reconcile.NewJanitor(s.store, s.ledger, s.queue, quiet())
	tail := reconcile.NewTail(s.store, s.ledger)
	at := func(d time.Duration) order.SaleState { // the state after a look at this time
		s.redis.SetTime(s.sale.EndsAt.Add(d))
		require.NoError(t, j.Step(t.Context()))
		require.NoError(t, tail.Step(t.Context()))
		require.NoError(t, tail.Step(t.Context()))
		sale, err := s.store.Sale(t.Context(), s.sale.ID)
		require.NoError(t, err)
		return sale.State
	}
	require.Equal(t, order.SaleOpen, at(-time.Second))
	require.Equal(t, order.SaleEnded, at(0))
	require.Equal(t, order.SaleEnded, s.meta(t).State)
	require.Equal(t, order.SaleEnded, at(59*time.Minute))
	require.Equal(t, order.SaleEnded, at(61*time.Minute), "the first look notes what stands in the queue")
	s.queue.at.Store(7)
	require.Equal(t, order.SaleEnded, at(63*time.Minute), "two orders are unpaid")
	_, err := s.store.Cancel(t.Context(), os[0].ID)
	require.NoError(t, err)
	_, err = s.store.Pay(t.Context(), order.Payment{EventID: "e", OrderID: os[1].ID, AmountMinor: 1, Currency: "CNY"})
	require.NoError(t, err)
	s.queue.at.Store(6)
	require.Equal(t, order.SaleEnded, at(65*time.Minute), "the consumers have not passed it")
	s.queue.at.Store(7)
	require.Equal(t, order.SaleEnded, at(65*time.Minute+30*time.Second), "not asked every second")
	require.Equal(t, order.SaleClosed, at(66*time.Minute))
	require.False(t, s.meta(t).Loaded)
	require.Empty(t, s.redis.Keys())
	require.Empty(t, s.audit(t).Discrepancies)
	ss, err := s.store.Sales(t.Context())
	require.NoError(t, err)
	require.Empty(t, ss)
}

func TestASaleWhoseEventsCannotLeaveIsClosedAndTheyAreStillToBeSent(t *testing.T) {
	t.Parallel()
	s := open(t, 3, 1)
	os := s.buy(t, 1)
	_, err := s.store.Cancel(t.Context(), os[0].ID)
	require.NoError(t, err)
	j := reconcile.NewJanitor(s.store, s.ledger, s.queue, quiet())
	for _, d := range []time.Duration{0, 61 * time.Minute, 63 * time.Minute} {
		s.redis.SetTime(s.sale.EndsAt.Add(d))
		require.NoError(t, j.Step(t.Context()))
	}
	require.Empty(t, s.redis.Keys())
	sale, err := s.store.Sale(t.Context(), s.sale.ID)
	require.NoError(t, err)
	require.Equal(t, order.SaleClosed, sale.State)
	behind, err := s.store.EventsBehind(t.Context(), true, 1)
	require.NoError(t, err)
	require.Len(t, behind, 1)
	require.Equal(t, []any{sale.ID, uint64(0), sale.Seq}, []any{behind[0].SaleID, behind[0].Seq, behind[0].Last})
	es, _, _, err := s.store.EventPage(t.Context(), sale.ID, 0, 10)
	require.NoError(t, err)
	require.Len(t, es, 2, "confirmed and cancelled")
}

func TestAClosedSaleThatAnOldBackupBringsBackLeavesRedisAgain(t *testing.T) {
	t.Parallel()
	s := open(t, 3, 1)
	s.reserve(t, 1)
	old := s.copyOut(t)
	for _, to := range []order.SaleState{order.SaleEnded, order.SaleClosed} {
		_, err := s.store.SetSaleState(t.Context(), string(to), s.sale.ID, to)
		require.NoError(t, err)
	}
	require.NoError(t, s.ledger.Unload(t.Context(), s.sale.ID))
	s.copyIn(t, old)
	require.True(t, s.meta(t).Loaded)
	require.NoError(t, reconcile.NewJanitor(s.store, s.ledger, s.queue, quiet()).Step(t.Context()))
	require.Empty(t, s.redis.Keys())
}

func TestNothingIsEndedWhileRedisCannotTellTheTime(t *testing.T) {
	t.Parallel()
	s := open(t, 3, 1)
	s.redis.SetTime(s.sale.EndsAt.Add(time.Hour))
	s.redis.SetError("away")
	j := reconcile.NewJanitor(s.store, s.ledger, s.queue, quiet())
	require.Error(t, j.Step(t.Context()))
	sale, err := s.store.Sale(t.Context(), s.sale.ID)
	require.NoError(t, err)
	require.Equal(t, order.SaleOpen, sale.State)
}

func TestAVoidedSaleIsCancelledByTheNextStep(t *testing.T) {
	t.Parallel()
	s := open(t, 300, 1)
	os := s.buy(t, 300)
	expirer := reconcile.NewExpirer(s.store, s.ledger, nil, quiet())
	require.NoError(t, expirer.Step(t.Context()), "nothing is due for minutes")
	payments := payment.New(s.store, s.ledger, unguarded, quiet())
	_, err := payments.Pay(t.Context(), order.Payment{EventID: "e", OrderID: os[0].ID, AmountMinor: 1, Currency: "CNY"})
	require.NoError(t, err)
	_, err = s.store.Operate(t.Context(), order.Operation{
		Command: "void", By: order.Operator{Name: "alice", Role: "operator"}, SaleID: s.sale.ID, Action: order.Voiding(),
	})
	require.NoError(t, err)
	require.NoError(t, expirer.Step(t.Context()))
	require.NoError(t, reconcile.NewExpirer(s.store, s.ledger, nil, quiet()).Step(t.Context()), "a process that starts anew")
	tail := reconcile.NewTail(s.store, s.ledger)
	require.NoError(t, tail.CatchUp(t.Context(), s.sale.ID, s.meta(t).Applied))
	m := s.meta(t)
	require.Equal(t, []any{order.SaleEnded, int64(299), int64(1)}, []any{m.State, m.Available, m.Settled})
	require.Empty(t, s.audit(t).Discrepancies)
}

func TestAnExtensionReachesTheRowsOnce(t *testing.T) {
	t.Parallel()
	s := open(t, 600, 1)
	os := s.buy(t, 600)
	synctest.Test(t, func(t *testing.T) {
		extender := reconcile.NewExtender(s.store, quiet())
		extended := func() bool {
			require.NoError(t, extender.Step(t.Context()))
			sale, err := s.store.Sale(t.Context(), s.sale.ID)
			require.NoError(t, err)
			return !sale.Extending
		}
		require.True(t, extended())
		_, err := s.store.Operate(t.Context(), order.Operation{Command: "extend", SaleID: s.sale.ID, Action: order.Extending(0, time.Hour)})
		require.NoError(t, err)
		require.False(t, extended())
		time.Sleep(17 * time.Second) // 1 s of remembered terms, four waits for locks of 4 s each
		require.False(t, extended(), "rows of the old time may still be written")
		time.Sleep(3 * time.Second)
		require.True(t, extended(), "20 s after it was first seen")
	})
	rows, err := s.store.Find(t.Context(), []order.ID{os[0].ID, os[599].ID})
	require.NoError(t, err)
	sale, err := s.store.Sale(t.Context(), s.sale.ID)
	require.NoError(t, err)
	for _, r := range rows {
		require.Equal(t, r.DecidedAt.Add(sale.PayWithin), r.PayBy)
	}
}

// noPages is a store whose rows cannot be moved.
type noPages struct{ *memory.Store }

func (noPages) ExtendPage(ctx context.Context, _ order.Sale, _ order.ID) (order.ID, error) {
	return 0, cmp.Or(ctx.Err(), errors.New("no page"))
}

func TestAnExtensionThatFailsIsAnErrorAndAnInterruptedOneIsNot(t *testing.T) {
	t.Parallel()
	s := open(t, 1, 1)
	_, err := s.store.Operate(t.Context(), order.Operation{Command: "extend", SaleID: s.sale.ID, Action: order.Extending(0, time.Hour)})
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		extender := reconcile.NewExtender(noPages{s.store}, quiet())
		require.NoError(t, extender.Step(t.Context()))
		time.Sleep(20 * time.Second)
		require.ErrorContains(t, extender.Step(t.Context()), "no page")
		ending, end := context.WithCancel(t.Context())
		end()
		require.NoError(t, extender.Step(ending))
	})
}

// outrun is a store in which an operator acts right after the sales were read.
type outrun struct {
	*memory.Store
	acts func()
}

func (o *outrun) Sales(ctx context.Context) ([]order.Sale, error) {
	ss, err := o.Store.Sales(ctx)
	o.acts()
	return ss, err
}

func TestASaleThatIsGivenMoreTimeAtTheLastMomentGoesOn(t *testing.T) {
	t.Parallel()
	s := open(t, 3, 1)
	end := s.sale.EndsAt
	s.redis.SetTime(end.Add(time.Second))
	extend := func(n int) func() {
		return func() {
			later := end.Add(time.Duration(n) * time.Hour)
			_, err := s.store.Operate(t.Context(), order.Operation{
				Command: fmt.Sprint("extend", n), By: order.Operator{Name: "alice", Role: "operator"}, SaleID: s.sale.ID,
				Action: order.Changing(order.SalePatch{EndsAt: &later}),
			})
			require.NoError(t, err)
		}
	}
	j := reconcile.NewJanitor(&outrun{s.store, extend(1)}, s.ledger, s.queue, quiet())
	require.NoError(t, j.Step(t.Context()))
	sale, err := s.store.Sale(t.Context(), s.sale.ID)
	require.NoError(t, err)
	require.Equal(t, order.SaleOpen, sale.State)
	s.redis.SetTime(end.Add(2 * time.Hour))
	j = reconcile.NewJanitor(s.store, s.ledger, s.queue, quiet())
	require.NoError(t, j.Step(t.Context()))
	sale, err = s.store.Sale(t.Context(), s.sale.ID)
	require.NoError(t, err)
	require.Equal(t, order.SaleEnded, sale.State, "and ends at its new time")
}
