package api

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestADeadlineComesInTimeWhateverBecomesOfTheRequest(t *testing.T) {
	t.Parallel()
	type key struct{}
	synctest.Test(t, func(t *testing.T) {
		d := &deadlines{within: 5 * time.Second}
		d.of(t.Context())
		for range 20 {
			time.Sleep(70 * time.Millisecond)
			request, leave := context.WithCancel(context.WithValue(t.Context(), key{}, 7))
			ctx := d.of(request)
			leave()
			require.NoError(t, ctx.Err())
			require.Equal(t, 7, ctx.Value(key{}))
			end, ok := ctx.Deadline()
			require.True(t, ok)
			left := time.Until(end)
			require.LessOrEqual(t, left, 5*time.Second)
			require.Greater(t, left, 5*time.Second-deadlineStep)
		}
		ctx := d.of(t.Context())
		<-ctx.Done()
		require.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)
	})
}
