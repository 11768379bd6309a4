package strictyaml_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/internal/strictyaml"
)

func TestAValueIsTheTextThatStandsThere(t *testing.T) {
	t.Parallel()
	fs, err := strictyaml.Parse([]byte("a: 00123456\nb: 99.50\nc: yes\nd: 2027-01-01\ne: \"07\" # seven\nf:\ng: [1, 0x2]\nh: {k: 010}\ni: ~\nj: 1e3\nk: |\n  two\n  lines\n"))
	require.NoError(t, err)
	want := map[string]string{"a": "00123456", "b": "99.50", "c": "yes", "d": "2027-01-01", "e": "07", "f": "", "i": "", "j": "1e3", "k": "two\nlines\n"}
	for i, f := range fs[:11] {
		require.Equal(t, i+1, f.Line)
		switch f.Key {
		case "g":
			vs, err := f.List()
			require.NoError(t, err)
			require.Equal(t, []string{"1", "0x2"}, vs)
		case "h":
			pairs, isMap, err := f.Map()
			require.NoError(t, err)
			require.True(t, isMap)
			v, err := pairs[0].Text()
			require.NoError(t, err)
			require.Equal(t, "k 010", pairs[0].Key+" "+v)
			_, err = f.Text()
			require.ErrorContains(t, err, "one value")
		default:
			v, err := f.Text()
			require.NoError(t, err)
			require.Equal(t, want[f.Key], v, f.Key)
			require.Equal(t, f.Key == "e" || f.Key == "k", f.Quoted(), f.Key)
		}
	}
}

func TestWhatParsersReadDifferentlyIsRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                       "empty",
		"# nothing\n":            "empty",
		"a: 1\na: 2\n":           "line 2: a is there a second time, after line 1",
		"a: 1\n---\nb: 2\n":      "more after the first document",
		"a: 1\n---\n":            "more after the first document",
		"- a\n":                  "must be `name: value` lines",
		"a: 1\n? [b]\n: 2\n":     "line 2: a name must be a word",
		"a: &x 1\nb: *x\n":       "line 1: aliases",
		"a: !!str 1\n":           "line 1: tags",
		"a: !!binary aGVsbG8=\n": "line 1: tags",
		"a: 1\n\tb: 2\n":         "line 2",
		"a: {b: 1, b: 2}\n":      "b is there a second time",
		"a: [1, [2]]\n":          "one value",
		"a: 1\nb\n":              "line",
		"{\"a\": 1, \"a\": 2}\n": "a is there a second time",
	} {
		fs, err := strictyaml.Parse([]byte(text))
		for _, f := range fs {
			if err == nil {
				_, err = f.List()
			}
			if _, isMap, bad := f.Map(); isMap {
				err = bad
			}
		}
		require.ErrorContains(t, err, want, "%q", text)
	}
}
