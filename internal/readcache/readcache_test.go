package readcache_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/internal/readcache"
)

var errMissing = errors.New("missing")

// TestCache_SharesReads: answers are fresh for a minute, errMissing for a
// second, and other errors are not kept; a read takes a second.
func TestCache_SharesReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reads, failed := 0, error(nil)
		c := readcache.New(2, func(err error) time.Duration {
			switch {
			case err == nil:
				return time.Minute
			case errors.Is(err, errMissing):
				return time.Second
			default:
				return 0
			}
		}, func(ctx context.Context, id int64) (int64, error) {
			time.Sleep(time.Second)
			reads++
			return 10*id + int64(reads), errors.Join(failed, ctx.Err())
		})
		get := func(id, want int64, wantErr error) {
			t.Helper()
			got, err := c.Get(t.Context(), id)
			require.ErrorIs(t, err, wantErr)
			require.Equal(t, want, got)
		}
		gone, leave := context.WithCancel(t.Context())
		leave()
		var callers sync.WaitGroup
		for range 3 {
			callers.Go(func() {
				got, err := c.Get(gone, 1)
				require.NoError(t, err, "a caller who has left does not fail the read of the others")
				require.EqualValues(t, 11, got)
			})
		}
		callers.Wait()
		time.Sleep(time.Minute - 1)
		get(1, 11, nil)
		time.Sleep(time.Nanosecond)
		get(1, 12, nil)
		get(2, 23, nil)
		get(3, 34, nil)
		get(2, 23, nil)
		get(1, 15, nil) // the longest unused of three made room

		failed = errMissing
		get(4, 46, errMissing)
		get(4, 46, errMissing)
		time.Sleep(time.Second)
		failed = context.DeadlineExceeded
		get(4, 47, context.DeadlineExceeded)
		get(4, 48, context.DeadlineExceeded)
	})
}
