package lookup_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
	"seckill/order/lookup"
)

// rows is a table whose reads take a millisecond.
type rows struct {
	mu     sync.Mutex
	status map[order.ID]order.Status
	reads  [][]order.ID
	atOnce int
	most   int
	err    error
}

func (r *rows) find(ctx context.Context, ids []order.ID) ([]order.Record, error) {
	r.mu.Lock()
	r.reads = append(r.reads, slices.Clone(ids))
	r.atOnce++
	r.most = max(r.most, r.atOnce)
	r.mu.Unlock()
	select {
	case <-time.After(time.Millisecond):
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.atOnce--
	if err := errors.Join(r.err, ctx.Err()); err != nil {
		return nil, err
	}
	var found []order.Record
	for _, id := range ids {
		if s, ok := r.status[id]; ok {
			found = append(found, order.Record{Order: order.Order{ID: id}, Status: s})
		}
	}
	return found, nil
}

// lookup runs test in a bubble with a Lookup on a table with these rows.
func withReader(t *testing.T, status map[order.ID]order.Status, test func(t *testing.T, l *lookup.Reader, r *rows)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rows{status: status}
		l := lookup.New(r.find)
		defer l.Close()
		test(t, l, r)
	})
}

func TestLookupReadsForManyAtOnce(t *testing.T) {
	t.Parallel()
	withReader(t, nil, func(t *testing.T, l *lookup.Reader, r *rows) {
		r.status = map[order.ID]order.Status{}
		var wg sync.WaitGroup
		for i := range 1000 {
			id := order.ID(i%500 + 1) // each is asked for twice
			if id%5 > 0 {
				r.status[id] = order.StatusConfirmed
			}
		}
		for i := range 1000 {
			wg.Go(func() {
				id := order.ID(i%500 + 1)
				got, err := l.Get(t.Context(), id)
				switch {
				case id%5 == 0 && !errors.Is(err, order.ErrNotFound):
					t.Errorf("order %d: %v", id, err)
				case id%5 > 0 && (err != nil || got.ID != id):
					t.Errorf("order %d: %v %v", id, got, err)
				}
			})
		}
		wg.Wait()
		require.LessOrEqual(t, r.most, 2, "reads at a time")
		require.LessOrEqual(t, len(r.reads), 20)
		for _, ids := range r.reads {
			require.LessOrEqual(t, len(ids), 128)
			require.Len(t, slices.Compact(slices.Sorted(slices.Values(ids))), len(ids), "each ID once")
		}
	})
}

func TestLookupKeepsOnlyWhatCannotChangeAndNotForLong(t *testing.T) {
	t.Parallel()
	for status, reads := range map[order.Status]int{
		order.StatusConfirmed: 3, order.StatusPaid: 1, order.StatusCancelled: 1, order.StatusRejected: 1, "": 3,
	} {
		table := map[order.ID]order.Status{}
		if status != "" {
			table[1] = status
		}
		withReader(t, table, func(t *testing.T, l *lookup.Reader, r *rows) {
			for range 3 {
				got, err := l.Get(t.Context(), 1)
				require.Equal(t, status == "", errors.Is(err, order.ErrNotFound))
				require.Equal(t, status, got.Status)
			}
			require.Len(t, r.reads, reads, status)
			time.Sleep(time.Second)
			_, _ = l.Get(t.Context(), 1)
			require.Len(t, r.reads, reads+1, status)
		})
	}
}

func TestLookupDoesNotTakeAnErrorForAnAnswer(t *testing.T) {
	t.Parallel()
	withReader(t, map[order.ID]order.Status{1: order.StatusPaid}, func(t *testing.T, l *lookup.Reader, r *rows) {
		r.err = errors.New("down")
		_, err := l.Get(t.Context(), 1)
		require.ErrorIs(t, err, r.err)
		require.NotErrorIs(t, err, order.ErrNotFound)
		r.err = nil
		_, err = l.Get(t.Context(), 1)
		require.NoError(t, err)
	})
}

func TestLookupLetsACallerGoAndEnds(t *testing.T) {
	t.Parallel()
	withReader(t, nil, func(t *testing.T, l *lookup.Reader, r *rows) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Microsecond)
		defer cancel()
		_, err := l.Get(ctx, 1)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := l.Get(t.Context(), 2)
			if err == nil {
				t.Error("an answer from a closed lookup")
			}
		})
		synctest.Wait()
		l.Close()
		wg.Wait()
		_, err = l.Get(t.Context(), 3)
		require.ErrorIs(t, err, lookup.ErrClosed)
	})
}
