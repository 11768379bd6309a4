package problem_test

import (
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/internal/lang"
	"seckill/internal/problem"
)

var soldOut = &problem.Type{
	Code: "sold-out", Status: 409, RetryMin: 2, RetryMax: 4, Final: true,
	En: problem.NewText("Sold <out>", "No unit is left."), Zh: problem.NewText("已售罄", "没有库存了。"),
}

func TestFailure_IsAProblemDocument(t *testing.T) {
	t.Parallel()
	f := problem.New(soldOut, nil)
	require.JSONEq(t, `{"type":"/problems/sold-out","title":"Sold <out>","status":409,"code":"sold-out","detail":"No unit is left.","final":false}`, string(f.Append(nil, lang.English)))
	require.JSONEq(t, `{"type":"/problems/sold-out","title":"已售罄","status":409,"code":"sold-out","detail":"没有库存了。","final":false}`, string(f.Append(nil, lang.Chinese)))
	f = &problem.Failure{
		Type: soldOut, Detail: &problem.Detail{En: "All gone.", Zh: "全没了。"}, Fields: []problem.Field{{Pointer: "/n", Detail: "too large"}, {Pointer: "?wait", Detail: "no \"time\""}},
		SoldOutForGood: true, StartsAt: time.UnixMilli(1), SaleID: 1, OrderURL: "/v1/orders/x",
	}
	const members = `"final":true,"starts_at":"1970-01-01T00:00:00.001Z","orders_url":"/v1/orders?sale_id=1","order_url":"/v1/orders/x",
		"errors":[{"pointer":"/n","detail":"too large"},{"pointer":"?wait","detail":"no \"time\""}]}`
	require.JSONEq(t, `{"type":"/problems/sold-out","title":"Sold <out>","status":409,"code":"sold-out","detail":"All gone.",`+members, string(f.Append(nil, lang.English)))
	require.JSONEq(t, `{"type":"/problems/sold-out","title":"已售罄","status":409,"code":"sold-out","detail":"全没了。",`+members, string(f.Append(nil, lang.Chinese)))
}

func TestFailure_SaysWhenToComeBack(t *testing.T) {
	t.Parallel()
	header := func(f *problem.Failure) http.Header {
		h := http.Header{}
		f.SetHeader(h, lang.Chinese)
		return h
	}
	plain := http.Header{"Content-Type": {"application/problem+json"}, "Content-Language": {"zh-CN"}, "Cache-Control": {"no-store"}}
	require.Equal(t, plain, header(problem.New(&problem.Type{Status: 404}, nil)))
	h := header(&problem.Failure{Type: soldOut, Retry: problem.Seconds(17), Close: true, Challenge: "Bearer"})
	require.Equal(t, []string{"17", "close", "Bearer"}, []string{h.Get("Retry-After"), h.Get("Connection"), h.Get("WWW-Authenticate")})
	drawn := map[string]bool{}
	for range 200 {
		drawn[header(problem.New(soldOut, nil)).Get("Retry-After")] = true
	}
	require.Equal(t, map[string]bool{"2": true, "3": true, "4": true}, drawn)
	for n, want := range map[int]string{-1: "-1", 0: "0", 16: "16", 3600: "3600"} {
		require.Equal(t, []string{want}, problem.Seconds(n))
	}
	for _, n := range []int{0, 16} {
		once, again := problem.Seconds(n), problem.Seconds(n)
		require.Same(t, &once[0], &again[0], "short ones are shared")
	}
	require.True(t, slices.Contains([]string{"7", "8"}, problem.RetryAfter(7, 8)[0]))
}

func TestFailure_ShowsItsCauseToTheLogAlone(t *testing.T) {
	t.Parallel()
	cause := errors.New("disk")
	f := problem.New(soldOut, cause)
	require.EqualError(t, f, "sold-out: disk")
	require.ErrorIs(t, f, cause)
	require.NotContains(t, string(f.Append(nil, lang.English)), "disk")
	require.EqualError(t, problem.New(soldOut, nil), "sold-out")
}
