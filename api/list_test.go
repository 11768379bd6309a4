package api_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/order"
	"seckill/stock"
)

func TestTheList(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	base := mine(minute)
	nth := func(n int) order.Order { o := base; o.ID += order.ID(n); return o }
	for n := range 5 {
		s.backends.rows[nth(n).ID] = rowOf(nth(n), order.StatusConfirmed, "")
	}
	foreign := nth(9)
	foreign.ShopperID = "43"
	s.backends.rows[foreign.ID] = rowOf(foreign, order.StatusConfirmed, "")
	s.backends.entries = []stock.Entry{
		{Order: nth(7), State: stock.EntryPending}, {Order: nth(2), State: stock.EntryPending}, // the row of the latter has come
		{Order: nth(8), State: stock.EntryRejected},
	}
	var got []string
	path := "/v1/orders?sale_id=7001&limit=4"
	for pages := 1; ; pages++ {
		require.LessOrEqual(t, pages, 2)
		a := s.get(t, path)
		require.Equal(t, 200, a.StatusCode, a.text)
		require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
		list, _ := a.body["orders"].([]any)
		for _, x := range list {
			o, _ := x.(map[string]any)
			id, _ := o["id"].(string)
			st, _ := o["status"].(string)
			got = append(got, id+" "+st)
		}
		cursor := a.str("next_cursor")
		if cursor == "" {
			require.Nil(t, a.body["next_cursor"])
			break
		}
		path = "/v1/orders?sale_id=7001&limit=4&cursor=" + cursor
	}
	want := []string{s.publicID(nth(7)) + " pending"}
	for n := 4; n >= 0; n-- {
		want = append(want, s.publicID(nth(n))+" confirmed")
	}
	require.Equal(t, want, got)
	for _, query := range []string{"", "&limit=6", "&limit=100"} {
		a := s.get(t, "/v1/orders?sale_id=7001"+query)
		all, _ := a.body["orders"].([]any)
		require.Len(t, all, len(want), "none of them twice")
		require.Nil(t, a.body["next_cursor"], query)
	}
	one, _ := s.get(t, "/v1/orders?sale_id=7001&limit=1").body["orders"].([]any)
	require.Len(t, one, 1)
}

func TestTheListIsWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.backends.entryErr = errors.New("redis away")
	problem(t, s.get(t, "/v1/orders?sale_id=7001"), 503, "dependency-down")
	s.backends.entryErr, s.backends.rowErr = nil, errors.New("mysql away")
	problem(t, s.get(t, "/v1/orders?sale_id=7001"), 503, "dependency-down")
	s.backends.rowErr = context.Canceled
	problem(t, s.get(t, "/v1/orders?sale_id=7001"), 503, "dependency-down") // the client has not left
	s = newShop(t, func(s *shop) { s.backends.metas[openSale] = stock.Meta{} })
	problem(t, s.get(t, "/v1/orders?sale_id=7001"), 503, "dependency-down")
}

func TestListArguments(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	foreign := mine(0)
	foreign.ShopperID = "43"
	for _, query := range []string{"", "sale_id=x", "sale_id=7001&limit=0", "sale_id=7001&limit=101", "sale_id=7001&limit=x", "sale_id=7001&cursor=5", "sale_id=7001&cursor=" + s.publicID(foreign), "sale_id=6000&cursor=" + s.publicID(mine(0))} {
		problem(t, s.get(t, "/v1/orders?"+query), 422, "validation")
	}
	require.Empty(t, s.backends.calls())
	require.JSONEq(t, `{"orders":[],"next_cursor":null}`, s.get(t, "/v1/orders?sale_id=6000").text, "a closed sale")
	s.backends.reset()
	for range 50 {
		problem(t, s.get(t, "/v1/orders?sale_id=12345"), 404, "not-found")
	}
	require.LessOrEqual(t, len(s.backends.calls()), 4, "an unknown sale is looked for once a second: %v", s.backends.calls())
}
