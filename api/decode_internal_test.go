package api

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// What the decoder takes, encoding/json takes too, with the same values; and
// of what encoding/json takes strictly it refuses only what it names.
func FuzzDecodePurchase(f *testing.F) {
	for _, s := range []string{"", "{}", `{"quantity":1}`, `{"reference":"a\u0041\"}","quantity":-7}`, `{"a":[{"b":"]"}]}`, "null", `{"quantity":1}{}`, "{\"\xff\":1}", `{"Quantity":1}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, problem := decodePurchase(body)
		want := struct {
			Quantity  *int64  `json:"quantity"`
			Reference *string `json:"reference"`
		}{}
		dec := json.NewDecoder(bytes.NewReader(body))
		dec.DisallowUnknownFields()
		err := dec.Decode(&want)
		switch problem {
		case nil:
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
		case unexpectedField:
			require.Error(t, err)
			require.True(t, json.Valid(body))
		default:
			require.Same(t, malformedJSON, problem)
		}
	})
}

func TestEveryProblemIsInTheTableOnce(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, p := range problems {
		require.False(t, seen[p.code], p.code)
		seen[p.code] = true
		require.Regexp(t, `^[a-z]+(-[a-z]+)*$`, p.code)
		require.Regexp(t, `\p{Han}`, p.zh.title)
		require.Regexp(t, `\p{Han}`, p.zh.detail)
		require.NotEmpty(t, p.en.title)
		require.NotEmpty(t, p.en.detail)
		require.LessOrEqual(t, p.retryMin, p.retryMax)
		if p.status == 503 || p.status == 429 {
			require.Positive(t, p.retryMin, "%s says when to come back", p.code)
		}
	}
	require.GreaterOrEqual(t, len(seen), 22)
}

func TestStringsAreEscapedAsEncodingJSONReadsThem(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", `a"b\c`, "\x00\x1f\x7f\n", "<script>&", "é中😀", "\u2028"} {
		var back string
		require.NoError(t, json.Unmarshal(appendString(nil, s), &back))
		require.Equal(t, s, back)
	}
	require.Equal(t, `"`+"\ufffd"+`"`, string(appendString(nil, "\xff")))
	require.NotContains(t, string(appendString(nil, "</script>")), "<")
}
