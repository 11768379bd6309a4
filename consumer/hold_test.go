package consumer_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"seckill/consumer"
	"seckill/internal/testenv"
	"seckill/order"
	ordersql "seckill/order/mysql"
	"seckill/queue"
	"seckill/queue/queuetest"
)

func TestASaleThatCannotBeSettledHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 2, func(r *rig) { r.mysql.refused.Store(2) })
		defer r.stop()
		const deliveries, each = 20, 200
		acked := make(chan error, deliveries)
		for i := range int64(deliveries) {
			ms := delivery(1+i*each, each)
			for k := range int64(each) / 2 {
				ms = append(ms, messageOf(2, 1_000_000+i*each+k))
			}
			go func() { acked <- r.receiver.Handle(t.Context(), ms) }()
		}
		time.Sleep(time.Second)
		require.Equal(t, deliveries*each, r.mysql.settled(), "the other sale's orders")
		for id := range int64(100) { // each of which a worker that waits would hold up
			began := time.Now()
			require.NoError(t, r.receiver.Handle(t.Context(), delivery(10_000+id, 1)))
			require.LessOrEqual(t, time.Since(began), 10*time.Millisecond)
		}
		r.mysql.attempts()
		time.Sleep(time.Minute)
		tried := r.mysql.attempts()
		require.InDelta(t, 40, len(tried), 12, "one every second or two")
		require.Equal(t, slices.Repeat([]int{1}, len(tried)), tried, "of one order")
		require.Empty(t, acked, "nothing is acknowledged before its commit")

		r.mysql.refused.Store(0)
		for range deliveries {
			require.NoError(t, <-acked)
		}
		require.Equal(t, deliveries*each*3/2+100, r.mysql.settled(), "each once")
		require.Equal(t, int64(2), r.mysql.most.Load())
	})
}

func TestHeldOrdersThatNobodyWaitsForAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 1, func(r *rig) { r.mysql.refused.Store(1) })
		defer r.stop()
		ctx, leave := context.WithTimeout(t.Context(), 10*time.Second)
		defer leave()
		require.ErrorIs(t, r.receiver.Handle(ctx, delivery(1, 300)), context.DeadlineExceeded)
		time.Sleep(3 * time.Second)
		r.mysql.refused.Store(0)
		time.Sleep(time.Minute)
		require.Zero(t, r.mysql.settled())
		require.NoError(t, r.receiver.Handle(t.Context(), delivery(1, 300)), "they were delivered again")
		require.Equal(t, 300, r.mysql.settled())

		r.mysql.refused.Store(1)
		r.mysql.attempts()
		alone, leave := context.WithTimeout(t.Context(), time.Minute)
		defer leave()
		require.ErrorIs(t, r.receiver.Handle(alone, delivery(400, 1)), context.DeadlineExceeded)
		require.InDelta(t, 45, len(r.mysql.attempts()), 15, "one every second or two")
	})
}

// The only worker is late: all sales are due, and the callers of all but one
// have left.
func TestAHeldSaleWithoutOrdersHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 1, func(r *rig) {
			r.mysql.took = time.Second
			r.mysql.down.Store(true)
		})
		defer r.stop()
		ctx, leave := context.WithCancel(t.Context())
		acked := make(chan error, 31)
		for sale := range int64(cap(acked)) - 1 {
			go func() { acked <- r.receiver.Handle(ctx, []queue.Message{messageOf(2+sale, 2+sale)}) }()
		}
		go func() { acked <- r.receiver.Handle(t.Context(), delivery(1, 1)) }()
		time.Sleep(time.Minute)
		leave()
		synctest.Wait() // MySQL is back after all have left
		r.mysql.down.Store(false)
		for range cap(acked) - 1 {
			require.ErrorIs(t, <-acked, context.Canceled)
		}
		require.NoError(t, <-acked)
		require.LessOrEqual(t, r.mysql.settled(), 2, "one of them was being tried")
	})
}

// A sale whose row was restored takes a seq that its log has: error 1062.
func TestASaleWhoseLogIsAheadOfItsRowHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	testenv.MySQLs(t, func(t *testing.T, db *sql.DB) {
		t.Parallel()
		store := ordersql.NewStore(db, slog.New(slog.DiscardHandler))
		ids := order.NewIDMaker(1)
		create := func() int64 {
			id, err := ids.Next()
			require.NoError(t, err)
			_, err = store.CreateSale(t.Context(), order.Sale{
				ID: int64(id), Title: "T", Currency: "CNY", Total: 1e6, OrdersPerShopper: 1, UnitsPerOrder: 1,
				StartsAt: time.Now(), EndsAt: time.Now().Add(time.Hour), PayWithin: time.Minute,
			})
			require.NoError(t, err)
			return int64(id)
		}
		healthy, restored := create(), create()
		_, err := db.ExecContext(t.Context(), `INSERT INTO sale_changes (sale_id, seq, changes) VALUES (?, 1, ?)`, restored, order.EncodeChange(order.Change{}))
		require.NoError(t, err)

		const workers = 2
		pool := consumer.NewPool(consumer.Options{
			Orders: store, Ledger: &redis{}, Workers: workers, Batch: 64, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
		})
		ctx, cancel := context.WithCancel(t.Context())
		receiver := consumer.NewReceiver(pool, consumer.ReceiverOptions{
			Signer: queuetest.Signer(), DeadLetters: store, NewerWait: time.Minute, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
		})
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()
		running.Go(func() { _ = pool.Run(ctx) })
		handle := func(sale int64) error {
			var ms []queue.Message
			for i := range 64 {
				id, err := ids.Next()
				if err != nil {
					return err
				}
				o := order.Order{ID: id, SaleID: sale, ShopperID: fmt.Sprint(id, "-", i), Quantity: 1}
				ms = append(ms, queue.Message{ID: id.String(), Body: queuetest.Signer().Append(nil, o)})
			}
			return receiver.Handle(ctx, ms)
		}
		acked := make(chan error, 4*workers)
		for range cap(acked) {
			running.Go(func() { acked <- handle(restored) })
		}
		for range 20 {
			require.NoError(t, handle(healthy))
		}
		require.Empty(t, acked)
		_, err = db.ExecContext(t.Context(), `DELETE FROM sale_changes WHERE sale_id = ?`, restored)
		require.NoError(t, err)
		for range cap(acked) {
			require.NoError(t, <-acked)
		}
		sale, err := store.Sale(t.Context(), restored)
		require.NoError(t, err)
		require.Equal(t, int(1e6)-64*cap(acked), sale.Available)
	})
}

func TestProbesOfARefusedSaleTakeNoneOfALowDrainRate(t *testing.T) {
	t.Parallel()
	for name, refused := range map[string]int64{"none refused": 0, "three refused": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := start(t, 1, func(r *rig) { r.rate = 4; r.mysql.refused.Store(refused) })
				defer r.stop()
				go func() { _ = r.receiver.Handle(t.Context(), []queue.Message{messageOf(2, 1_000_000)}) }()
				time.Sleep(20 * time.Second)
				before := r.mysql.settled()
				go func() { _ = r.receiver.Handle(t.Context(), delivery(1, 250)) }()
				time.Sleep(50 * time.Second)
				got := r.mysql.settled() - before
				r.mysql.refused.Store(0)
				require.InDelta(t, 200, got, 8, "orders of the healthy sale in 50 s at 4 a second")
			})
		})
	}
}
