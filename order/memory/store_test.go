package memory_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/order"
	"seckill/order/memory"
	"seckill/order/storetest"
)

func TestStoreConforms(t *testing.T) {
	t.Parallel()
	storetest.Run(t, memory.NewStore())
}

func TestAFloodOfMessagesDoesNotFillTheMemory(t *testing.T) {
	t.Parallel()
	store := memory.NewStore()
	for i := range order.MaxStoredDeadLetters {
		require.NoError(t, store.AddDeadLetter(t.Context(), order.DeadLetter{MessageID: strconv.Itoa(i)}))
	}
	require.ErrorIs(t, store.AddDeadLetter(t.Context(), order.DeadLetter{MessageID: "m"}), order.ErrFull)
	require.NoError(t, store.AddDeadLetter(t.Context(), order.DeadLetter{OrderID: 7, SaleID: 5, ShopperID: "a"}), "a verdict is always kept")
}

func TestAFullListOfSalesLeavesOutWhatNeedsNobodyYet(t *testing.T) {
	t.Parallel()
	storetest.FullList(t, memory.NewStore())
}
