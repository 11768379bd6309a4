package memory_test

import (
	"testing"

	"seckill/order/memory"
	"seckill/order/storetest"
)

func TestStoreConforms(t *testing.T) {
	t.Parallel()
	storetest.Run(t, memory.NewStore())
}

func TestAFullListOfSalesLeavesOutWhatNeedsNobodyYet(t *testing.T) {
	t.Parallel()
	storetest.FullList(t, memory.NewStore())
}
