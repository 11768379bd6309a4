// Package strictjson decodes a JSON object in the one way in which it was meant,
// and refuses every other reading of it.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDepth is how deep a body may nest. Ours do not nest at all; what goes
// deeper than any client's mistake is an attack on the parser.
const maxDepth = 8

// What can be wrong with a body.
var (
	ErrMalformed    = errors.New("strictjson: malformed")
	ErrUnknownField = errors.New("strictjson: unknown field")
)

// decodeObject reads a body of one object and calls set with each of the known
// keys and its raw value; false says that the value is of another type. Every
// other reading of a body than the one meant is refused: repeated keys, keys
// in another case, anything after the object. The error is errMalformed or
// errUnknownField.
func Object(body []byte, known []string, set func(key string, value []byte) bool) error {
	if !utf8.Valid(body) || !json.Valid(body) || depth(body) > maxDepth {
		return ErrMalformed
	}
	s := scanner{b: body}
	if s.space(); s.b[0] != '{' {
		return ErrMalformed
	}
	seen := make(map[string]struct{}, 4)
	var unexpected error
	for s.b = s.b[1:]; s.next(); {
		key, ok := String(s.value())
		if _, twice := seen[key]; twice || !ok {
			return ErrMalformed
		}
		seen[key] = struct{}{}
		s.space()
		s.b = s.b[1:] // the colon
		s.space()
		value := s.value()
		switch {
		case slices.Contains(known, key):
			ok = set(key, value)
		case slices.ContainsFunc(known, func(k string) bool { return strings.EqualFold(k, key) }):
			ok = false
		default:
			unexpected = ErrUnknownField
		}
		if !ok {
			return ErrMalformed
		}
	}
	return unexpected
}

// scanner walks over a document that is known to be valid JSON.
type scanner struct{ b []byte }

func (s *scanner) space() {
	for len(s.b) > 0 && (s.b[0] == ' ' || s.b[0] == '\t' || s.b[0] == '\n' || s.b[0] == '\r') {
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

// value takes the value in front, raw.
func (s *scanner) value() []byte {
	level, end := 0, 0
	for end < len(s.b) {
		switch c := s.b[end]; {
		case c == '"':
			end += stringLen(s.b[end:])
			if level == 0 {
				return s.take(end)
			}
			continue
		case c == '{' || c == '[':
			level++
		case (c == '}' || c == ']') && level > 0:
			level--
			if level == 0 {
				return s.take(end + 1)
			}
		case level == 0 && (c == ',' || c == '}' || c <= ' '):
			return s.take(end)
		}
		end++
	}
	return s.take(end)
}

func (s *scanner) take(n int) []byte {
	v := s.b[:n]
	s.b = s.b[n:]
	return v
}

// stringLen returns the length of the string that b begins with, quotes
// included.
func stringLen(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
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

// unquote reads a JSON string; false for any other value.
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

// integer reads a number written as an integer that fits 64 bits.
func Integer(raw []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(raw), 10, 64)
	return n, err == nil
}
