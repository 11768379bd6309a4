package audit_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/order"
	"seckill/reconcile"
)

func TestARebuildSetsRightWhatNoReplayHeals(t *testing.T) {
	onBoth(t, func(b *fixture) {
		for i := range 5 {
			b.buy(fmt.Sprint("well-", i))
		}
		back := b.buy("b")
		b.tamper(back, fmt.Sprintf("R%d,-,1", back.ID), "settled", "available")
		b.tamper(order.Order{ID: 1, ShopperID: "ghost"}, "S1,0,1", "available", "settled")
		require.NoError(b, b.rdb.HIncrBy(b.Context(), b.key("m"), "available", 50).Err())
		lost := b.reserve("lost") // no message of it will ever come
		require.NotEmpty(b, b.audit())

		r := reconcile.NewRebuilder(b.store, b.ledger, b.loader)
		var wg sync.WaitGroup
		settled := make(chan int, 3)
		for range 3 { // several at once
			wg.Go(func() {
				done, err := r.Rebuild(b.Context(), b.sale.ID)
				if err != nil {
					b.Error(err)
				}
				settled <- done.Settled
			})
		}
		wg.Wait()
		require.Equal(b, 1, <-settled+<-settled+<-settled)
		require.Equal(b, "available 93 pending 0 settled 7", b.units())
		require.Equal(b, fmt.Sprintf("S%d,0,1", lost.ID), b.entry(lost))
		require.Empty(b, b.audit())
		keys, err := b.rdb.Keys(b.Context(), b.key("*")).Result()
		require.NoError(b, err)
		require.ElementsMatch(b, []string{b.key("m"), b.key("o")}, keys, "nothing is left over")
	})
}
