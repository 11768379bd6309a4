package api

import (
	"net/http"
	"strconv"
	"strings"
)

// lang is the language of an answer's texts.
type lang uint8

const (
	english lang = iota
	chinese
	languages // how many there are
)

var langHeaders = [languages][]string{{"en"}, {"zh-CN"}}

func (l lang) header() []string { return langHeaders[l] }

// language returns the one of ours that Accept-Language prefers; English when
// it names neither. It allocates nothing.
func language(r *http.Request) lang {
	var best lang
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
			best, bestQ = chinese, q
		case strings.EqualFold(primary, "en"):
			best, bestQ = english, q
		}
	}
	return best
}
