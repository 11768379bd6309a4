package api

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

// purchaseBody is the body of a purchase as it was sent, not yet validated.
type purchaseBody struct {
	quantity  int64
	reference string
}

// decodePurchase reads the body of a purchase; no body at all is an empty one.
// The problem is malformedJSON or unexpectedField.
func decodePurchase(body []byte) (purchaseBody, *problem) {
	p := purchaseBody{quantity: 1}
	if len(body) == 0 {
		return p, nil
	}
	err := decodeObject(body, purchaseFields, func(key string, value []byte) (ok bool) {
		switch key {
		case "quantity":
			p.quantity, ok = integer(value)
		case "reference":
			p.reference, ok = unquote(value)
		}
		return ok
	})
	return p, problemOf(err)
}

// decodePayment reads the body of a payment, all of whose fields are required:
// ref is empty, or the amount below 0, where it is missing. The problem is
// malformedJSON or unexpectedField.
func decodePayment(body []byte) (payment, *problem) {
	p := payment{}
	p.AmountMinor = -1
	err := decodeObject(body, paymentFields, func(key string, value []byte) (ok bool) {
		switch key {
		case "order_id":
			p.ref, ok = unquote(value)
		case "amount_minor":
			p.AmountMinor, ok = integer(value)
		case "currency":
			p.Currency, ok = unquote(value)
		}
		return ok
	})
	return p, problemOf(err)
}

var (
	purchaseFields  = []string{"quantity", "reference"}
	paymentFields   = []string{"order_id", "amount_minor", "currency"}
	challengeFields = []string{"challenge"}
)

// What can be wrong with a body.
var (
	errMalformed    = errors.New("strictjson: malformed")
	errUnknownField = errors.New("strictjson: unknown field")
)

// problemOf is the problem of an error of decodeObject; nil for none.
func problemOf(err error) *problem {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errUnknownField):
		return unexpectedField
	default:
		return malformedJSON
	}
}

// decodeObject reads a body of one object and calls set with each of the known
// keys and its raw value; false says that the value is of another type. Every
// other reading of a body than the one meant is refused: repeated keys, keys
// in another case, anything after the object. The error is errMalformed or
// errUnknownField.
func decodeObject(body []byte, known []string, set func(key string, value []byte) bool) error {
	if !utf8.Valid(body) || !json.Valid(body) || depth(body) > maxDepth {
		return errMalformed
	}
	s := scanner{b: body}
	if s.space(); s.b[0] != '{' {
		return errMalformed
	}
	seen := make(map[string]struct{}, 4)
	var unexpected error
	for s.b = s.b[1:]; s.next(); {
		key, ok := unquote(s.value())
		if _, twice := seen[key]; twice || !ok {
			return errMalformed
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
			unexpected = errUnknownField
		}
		if !ok {
			return errMalformed
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
func unquote(raw []byte) (string, bool) {
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
func integer(raw []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(raw), 10, 64)
	return n, err == nil
}
