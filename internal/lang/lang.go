// Package lang picks the language of an answer's texts: English or Chinese.
package lang

import (
	"net/http"
	"strconv"
	"strings"
)

// Lang is a supported language.
type Lang uint8

// The languages.
const (
	English Lang = iota
	Chinese
	Languages // how many there are
)

var headers = [Languages][]string{{"en"}, {"zh-CN"}}

// Header returns the value of Content-Language. The caller must not change it.
func (l Lang) Header() []string { return headers[l] }

// Of returns the supported language that Accept-Language prefers; English if it
// names none. It allocates nothing.
func Of(r *http.Request) Lang {
	var best Lang
	var bestQ float64
	rest := r.Header.Get("Accept-Language")
	for rest != "" {
		var part string
		part, rest, _ = strings.Cut(rest, ",")
		tag, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		q := 1.0
		if v, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			q, _ = strconv.ParseFloat(v, 64) // unreadable counts as 0: not wanted
		}
		if q <= bestQ {
			continue
		}
		switch primary, _, _ := strings.Cut(strings.TrimSpace(tag), "-"); {
		case strings.EqualFold(primary, "zh"):
			best, bestQ = Chinese, q
		case strings.EqualFold(primary, "en"):
			best, bestQ = English, q
		}
	}
	return best
}
