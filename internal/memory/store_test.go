package memory_test

import (
	"testing"

	"seckill/internal/memory"
	"seckill/order/ordertest"
)

func TestStoreConforms(t *testing.T) {
	t.Parallel()
	ordertest.Run(t, memory.NewStore())
}
