package appendjson_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/internal/appendjson"
)

func TestTime_IsUTCWithMilliseconds(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 9, 7, 3, 2, 45_999_999, time.FixedZone("", 8*3600))
	require.Equal(t, `x"2026-11-08T23:03:02.045Z"`, string(appendjson.Time([]byte("x"), at)))
	require.Equal(t, `"0001-01-01T00:00:00.000Z"`, string(appendjson.Time(nil, time.Time{})))
}

func TestString_IsReadBackByEncodingJSON(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"": `""`, `a"b\c d`: `"a\"b\\c d"`, "\x00\x1f\x7f\n": `"\u0000\u001f\u007f\u000a"`, "<a>&": `"\u003ca\u003e\u0026"`,
		"é中😀~": `"é中😀~"`, "\u2028": "\"\u2028\"",
	} {
		text := appendjson.String([]byte("x"), s)
		require.Equal(t, "x"+want, string(text))
		var back string
		require.NoError(t, json.Unmarshal(text[1:], &back))
		require.Equal(t, s, back)
	}
	require.Equal(t, "\"\ufffd\ufffd\ufffd\"", string(appendjson.String(nil, "\xff\xe4\x80")), "invalid bytes")
}
