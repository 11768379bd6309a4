package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"unicode/utf8"

	"seckill/internal/strictjson"

	"github.com/stretchr/testify/require"
)

// What the decoder takes, encoding/json takes too, with the same values; and
// of what encoding/json takes strictly it refuses only what it names.
func FuzzDecodePurchase(f *testing.F) {
	for _, s := range []string{"", "{}", `{"quantity":1}`, `{"reference":"a\u0041\"}","quantity":-7}`, `{"a":[{"b":"]"}]}`, "null", `{"quantity":1}{}`, "{\"\xff\":1}", `{"Quantity":1}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, failed := decodePurchase(body)
		want := struct {
			Quantity  *int64  `json:"quantity"`
			Reference *string `json:"reference"`
		}{}
		dec := json.NewDecoder(bytes.NewReader(body))
		dec.DisallowUnknownFields()
		err := dec.Decode(&want)
		switch {
		case failed == nil:
			if len(body) == 0 {
				return
			}
			require.NoError(t, err)
			require.True(t, utf8.Valid(body))
			require.False(t, dec.More())
			if want.Quantity == nil {
				want.Quantity = new(int64(1))
			}
			if want.Reference == nil {
				want.Reference = new("")
			}
			require.Equal(t, purchaseBody{*want.Quantity, *want.Reference}, got)
		case errors.Is(failed, strictjson.ErrUnknownField):
			require.Error(t, err)
			require.True(t, json.Valid(body))
		default:
			require.Same(t, strictjson.ErrMalformed, failed)
		}
	})
}

func TestEveryProblemIsInTheTableOnce(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, p := range problems {
		require.False(t, seen[p.Code], p.Code)
		seen[p.Code] = true
		require.Regexp(t, `^[a-z]+(-[a-z]+)*$`, p.Code)
		require.Regexp(t, `\p{Han}`, p.Zh.Title)
		require.Regexp(t, `\p{Han}`, p.Zh.Detail)
		require.NotEmpty(t, p.En.Title)
		require.NotEmpty(t, p.En.Detail)
		require.LessOrEqual(t, p.RetryMin, p.RetryMax)
		if p.Status == 503 || p.Status == 429 {
			require.Positive(t, p.RetryMin, "%s says when to come back", p.Code)
		}
	}
	require.GreaterOrEqual(t, len(seen), 22)
}
