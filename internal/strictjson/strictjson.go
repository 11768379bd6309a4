// Package strictjson reads JSON objects that parsers cannot disagree about:
// repeated keys, keys in another case and anything after the object are refused.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"mime"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDepth is how deep a body may nest. Valid bodies do not nest at all; deeper
// than any client's mistake is an attack on the parser.
const maxDepth = 8

// The errors.
var (
	ErrMalformed    = errors.New("strictjson: malformed")
	ErrUnknownField = errors.New("strictjson: unknown field")
)

// Object reads a body of one object and calls set with each of the known keys
// and its raw value; false means that the value has another type. The error is
// ErrMalformed, or ErrUnknownField if that is all that is wrong.
func Object(body []byte, known []string, set func(key string, value []byte) bool) error {
	var unknown error
	err := Members(body, func(key string, value []byte) bool {
		switch err := Name(key, known); {
		case err == nil:
			return set(key, value)
		case errors.Is(err, ErrUnknownField):
			unknown = err
			return true
		default:
			return false
		}
	})
	if err != nil {
		return err
	}
	return unknown
}

// Members reads a body of one object and calls member with each key and its raw
// value until it returns false. A repeated key is refused, and so is anything
// after the object. The error is ErrMalformed.
func Members(body []byte, member func(key string, value []byte) bool) error {
	if !utf8.Valid(body) || !json.Valid(body) || depth(body) > maxDepth {
		return ErrMalformed
	}
	s := scanner{b: body}
	if s.space(); s.b[0] != '{' {
		return ErrMalformed
	}
	seen := make(map[string]struct{}, 4)
	for s.b = s.b[1:]; s.next(); {
		key, ok := String(s.value())
		if _, twice := seen[key]; twice || !ok {
			return ErrMalformed
		}
		seen[key] = struct{}{}
		s.space()
		s.b = s.b[1:] // the colon
		s.space()
		if !member(key, s.value()) {
			return ErrMalformed
		}
	}
	return nil
}

// Name checks a key: the error is ErrMalformed for a known key in another case,
// which some parsers take for it, and ErrUnknownField for any other.
func Name(key string, known []string) error {
	switch {
	case slices.Contains(known, key):
		return nil
	case slices.ContainsFunc(known, func(k string) bool { return strings.EqualFold(k, key) }):
		return ErrMalformed
	default:
		return ErrUnknownField
	}
}

// MediaType reports whether a Content-Type is one of the types, in UTF-8.
func MediaType(contentType string, types ...string) bool {
	media, params, err := mime.ParseMediaType(contentType)
	charset, named := params["charset"]
	return err == nil && slices.Contains(types, media) && (!named || strings.EqualFold(charset, "utf-8"))
}

// scanner walks over a valid JSON object.
type scanner struct{ b []byte }

func (s *scanner) space() {
	for s.b[0] == ' ' || s.b[0] == '\t' || s.b[0] == '\n' || s.b[0] == '\r' {
		s.b = s.b[1:]
	}
}

// next moves to the next key of an object; false at its end.
func (s *scanner) next() bool {
	s.space()
	if s.b[0] == ',' {
		s.b = s.b[1:]
		s.space()
	}
	return s.b[0] != '}'
}

// value takes the next value, raw. An object goes on after each.
func (s *scanner) value() []byte {
	level := 0
	for end := 0; ; end++ {
		switch c := s.b[end]; {
		case c == '"':
			end += stringLen(s.b[end:]) - 1
			if level == 0 {
				return s.take(end + 1)
			}
		case c == '{' || c == '[':
			level++
		case (c == '}' || c == ']') && level > 0:
			if level--; level == 0 {
				return s.take(end + 1)
			}
		case level == 0 && (c == ',' || c == '}' || c <= ' '):
			return s.take(end)
		}
	}
}

func (s *scanner) take(n int) []byte {
	v := s.b[:n]
	s.b = s.b[n:]
	return v
}

// stringLen returns the length of the string that b begins with, quotes
// included.
func stringLen(b []byte) int {
	for i := 1; ; i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

// depth returns how deep a valid document nests.
func depth(b []byte) int {
	level, most := 0, 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			i += stringLen(b[i:]) - 1
		case '{', '[':
			level++
			most = max(most, level)
		case '}', ']':
			level--
		}
	}
	return most
}

// String reads a JSON string; false for any other value.
func String(raw []byte) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	if plain := raw[1 : len(raw)-1]; bytes.IndexByte(plain, '\\') < 0 {
		return string(plain), true
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err == nil
}

// Integer reads a number written as an integer that fits 64 bits.
func Integer(raw []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(raw), 10, 64)
	return n, err == nil
}
