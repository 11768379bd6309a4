package strictjson_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/internal/strictjson"
)

func TestObject_ReadsOnlyWhatParsersAgreeAbout(t *testing.T) {
	t.Parallel()
	nested := func(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }
	for body, want := range map[string]string{
		`{}`: "", " {\t}\r\n": "",
		`{"n":1}`:                                    "n=1;",
		`{"n":1,"s":"a\"}"}`:                         `n=1;s="a\"}";`,
		"{ \"s\" :\t\"x\"\r,\n\"n\" : 2 }":           `s="x";n=2;`,
		`{"\u006e":-7}`:                              "n=-7;",
		`{"n":{"a":[1,"]}",{}]},"s":[]}`:             `n={"a":[1,"]}",{}]};s=[];`,
		`{"s":true,"n":null}`:                        "s=true;n=null;",
		`{"n":` + nested(7) + `}`:                    "n=" + nested(7) + ";",
		`{"s":"` + nested(9) + `"}`:                  `s="` + nested(9) + `";`,
		`{"n":[` + strings.Repeat("[],", 9) + `{}]}`: "n=[" + strings.Repeat("[],", 9) + "{}];",
	} {
		got := ""
		require.NoError(t, strictjson.Object([]byte(body), []string{"n", "s"}, func(key string, value []byte) bool {
			got += key + "=" + string(value) + ";"
			return true
		}), body)
		require.Equal(t, want, got)
	}
	for body, want := range map[string]error{
		``: strictjson.ErrMalformed, ` `: strictjson.ErrMalformed, `{`: strictjson.ErrMalformed, `null`: strictjson.ErrMalformed, `[]`: strictjson.ErrMalformed, `1`: strictjson.ErrMalformed,
		`{}{}`: strictjson.ErrMalformed, `{} x`: strictjson.ErrMalformed, `{"n":1,}`: strictjson.ErrMalformed, "{\"n\":\"\xff\"}": strictjson.ErrMalformed,
		`{"n":1,"n":1}`: strictjson.ErrMalformed, `{"n":1,"\u006e":1}`: strictjson.ErrMalformed, `{"x":1,"x":1}`: strictjson.ErrMalformed, `{"N":1}`: strictjson.ErrMalformed,
		`{"n":` + nested(8) + `}`: strictjson.ErrMalformed, `{"n":false}`: strictjson.ErrMalformed, `{"x":1,"n":false}`: strictjson.ErrMalformed,
		`{"x":1}`: strictjson.ErrUnknownField, `{"x":[{"N":1}],"n":1}`: strictjson.ErrUnknownField,
	} {
		err := strictjson.Object([]byte(body), []string{"n", "s"}, func(_ string, value []byte) bool { return string(value) != "false" })
		require.Same(t, want, err, body)
	}
}

func TestValues_AreOfOneTypeEach(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{`""`: "", `"a"`: "a", `"\u0041\n"`: "A\n"} {
		got, ok := strictjson.String([]byte(raw))
		require.True(t, ok)
		require.Equal(t, want, got)
	}
	for _, raw := range []string{``, `"`, `1`, `12`, `null`, `{"a"}`, `"\x"`} {
		_, ok := strictjson.String([]byte(raw))
		require.False(t, ok, raw)
	}
	for raw, want := range map[string]int64{`0`: 0, `-7`: -7, `9223372036854775807`: 1<<63 - 1} {
		got, ok := strictjson.Integer([]byte(raw))
		require.True(t, ok)
		require.Equal(t, want, got)
	}
	for _, raw := range []string{``, `1.0`, `1e3`, `"1"`, `null`, `9223372036854775808`} {
		_, ok := strictjson.Integer([]byte(raw))
		require.False(t, ok, raw)
	}
}

func TestMediaType_IsOneOfTheTypesInUTF8(t *testing.T) {
	t.Parallel()
	for contentType, want := range map[string]bool{
		"application/json": true, "Application/JSON; charset=UTF-8": true, "text/json": true, `text/json; charset="utf-8"; v=1`: true,
		"": false, "text/plain": false, "application/json; charset=latin1": false, "application/json; charset=": false, "application/json;;=": false,
	} {
		require.Equal(t, want, strictjson.MediaType(contentType, "application/json", "text/json"), contentType)
	}
}
