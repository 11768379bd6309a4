package batching_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/internal/batching"
)

func TestWaitingYieldsWhatWaitsAndNoMore(t *testing.T) {
	t.Parallel()
	queue := make(chan int, 8)
	waiting := func(limit int) []int { return slices.Collect(batching.Waiting(queue, limit)) }
	require.Empty(t, waiting(3), "it does not wait")
	for i := range 5 {
		queue <- i
	}
	require.Equal(t, []int{0, 1}, waiting(2))
	for item := range batching.Waiting(queue, 3) {
		require.Equal(t, 2, item)
		break // takes no more than the loop saw
	}
	require.Equal(t, []int{3, 4}, waiting(8))
	queue <- 6
	close(queue)
	require.Equal(t, []int{6}, waiting(8), "a closed queue ends")
}
