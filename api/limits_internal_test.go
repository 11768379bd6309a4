package api

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAContextDerivedFromADeadlineEndsWithItWithoutAGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &deadlines{within: 5 * time.Second}
		request, leave := context.WithCancelCause(t.Context())
		parent := d.of(request)
		before := runtime.NumGoroutine()
		derived := make([]context.Context, 100)
		for i := range derived {
			ctx, cancel := context.WithCancel(parent)
			defer cancel()
			derived[i] = ctx //nolint:fatcontext // they are siblings
		}
		require.Less(t, runtime.NumGoroutine()-before, 50)
		leave(errors.New("the shopper left"))
		synctest.Wait()
		require.NoError(t, derived[0].Err())
		require.NoError(t, context.Cause(parent), "of the deadline, not of the request")
		time.Sleep(5 * time.Second)
		synctest.Wait()
		for _, ctx := range derived {
			require.ErrorIs(t, context.Cause(ctx), context.DeadlineExceeded)
		}
	})
}

func TestADeadlineComesInTimeWhateverBecomesOfTheRequest(t *testing.T) {
	t.Parallel()
	type key struct{}
	synctest.Test(t, func(t *testing.T) {
		d := &deadlines{within: 5 * time.Second}
		d.of(t.Context())
		for range 20 {
			time.Sleep(deadlineStep / 5)
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
