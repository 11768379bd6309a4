package batching_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/internal/batching"
)

func TestFillTakesWhatWaitsAndNoMore(t *testing.T) {
	t.Parallel()
	queue := make(chan int, 8)
	require.Equal(t, []int{0}, batching.Fill([]int{0}, queue, 3), "it does not wait")
	for i := range 5 {
		queue <- i + 1
	}
	require.Equal(t, []int{0, 1, 2}, batching.Fill([]int{0}, queue, 3))
	require.Equal(t, []int{3, 4, 5}, batching.Fill(nil, queue, 8))
	queue <- 6
	close(queue)
	require.Equal(t, []int{6}, batching.Fill(nil, queue, 8), "a closed queue ends")
}
