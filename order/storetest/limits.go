package storetest

import (
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/order"
)

// limitsChange is the one test of limits: a store has them once.
func limitsChange(t *testing.T, s *suite) {
	by, ctx := s.operator(t), t.Context()
	change := func(seen uint64, cmd string, values map[string]*json.Number) (order.Limits, error) {
		return s.store.ChangeLimits(ctx, order.LimitsChange{Command: cmd, By: by, IfGeneration: seen, Values: values})
	}
	first, err := s.store.Limits(ctx)
	require.NoError(t, err)
	require.Positive(t, first.Generation)
	two, half := new(json.Number("2")), new(json.Number("0.5"))

	cmd := s.id(t).String()
	for range 3 { // run again, after an unknown outcome
		l, err := change(first.Generation, cmd, map[string]*json.Number{"consumer_workers": two, "shopper_rps": half})
		require.NoError(t, err)
		require.Equal(t, order.Limits{Generation: first.Generation + 1, Values: map[string]json.Number{"consumer_workers": "2", "shopper_rps": "0.5"}}, l)
	}
	_, err = change(0, cmd, map[string]*json.Number{"consumer_workers": half})
	require.ErrorIs(t, err, order.ErrReused)
	same, err := change(0, s.id(t).String(), map[string]*json.Number{"consumer_workers": two, "drain_rate": nil})
	require.NoError(t, err, "there already: no change")
	require.Equal(t, first.Generation+1, same.Generation)
	cmd = s.id(t).String()
	_, err = change(first.Generation, cmd, map[string]*json.Number{"shopper_rps": two})
	require.ErrorIs(t, err, order.ErrStale)
	back, err := change(first.Generation+1, cmd, map[string]*json.Number{"shopper_rps": nil, "consumer_workers": two})
	require.NoError(t, err, "what was refused has not used up the command's name")
	require.Equal(t, map[string]json.Number{"consumer_workers": "2"}, back.Values)
	read, err := s.store.Limits(ctx)
	require.NoError(t, err)
	require.True(t, read.Equal(back))

	entries := s.auditLog(t, order.AuditQuery{Actor: by.Name})
	require.Len(t, entries, 2, "refusals and repetitions are not in it")
	require.Equal(t, "limits", entries[0].Action)
	g := func(n uint64) string { return strconv.FormatUint(first.Generation+n, 10) }
	require.JSONEq(t, `{"generation":`+g(0)+`,"consumer_workers":null,"shopper_rps":null}`, string(entries[1].Before))
	require.JSONEq(t, `{"generation":`+g(1)+`,"consumer_workers":2,"shopper_rps":0.5}`, string(entries[1].After))
	require.JSONEq(t, `{"generation":`+g(1)+`,"shopper_rps":0.5}`, string(entries[0].Before))
	require.JSONEq(t, `{"generation":`+g(2)+`,"shopper_rps":null}`, string(entries[0].After))

	var won atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 { // who saw the same generation
		value, cmd := json.Number(strconv.Itoa(10+i)), s.id(t).String()
		wg.Go(func() {
			_, err := change(read.Generation, cmd, map[string]*json.Number{"held_polls": &value})
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, order.ErrStale) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, int64(1), won.Load())
}
