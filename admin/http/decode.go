package adminhttp

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// maxBody is the largest body read.
const maxBody = 64 << 10

// body is a JSON object as it was sent: what is asked of it twice, missing or
// of another type is noted, and told at the end.
type body struct {
	values map[string]json.RawMessage
	known  []string
	bad    []fieldError
	broken bool // a value of another type than the field's
}

// readBody reads the body of a request: one JSON object, with no key twice, or
// nothing. Every other reading of it than the one meant is refused.
func readBody(r *http.Request) (*body, error) {
	types := r.Header["Content-Type"]
	if len(r.Header["Content-Encoding"]) > 0 || r.ContentLength != 0 && (len(types) != 1 || !isJSON(types[0])) {
		return nil, fail(unsupportedMedia, nil)
	}
	text, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, fail(tooLarge, nil)
	}
	if err != nil {
		return nil, fail(malformedJSON, nil)
	}
	b := &body{values: map[string]json.RawMessage{}}
	if len(text) == 0 {
		return b, nil
	}
	if !utf8.Valid(text) || !b.parse(text) {
		return nil, fail(malformedJSON, nil)
	}
	return b, nil
}

func isJSON(contentType string) bool {
	media, params, err := mime.ParseMediaType(contentType)
	charset, named := params["charset"]
	return err == nil && (media == "application/json" || media == "application/merge-patch+json") &&
		(!named || strings.EqualFold(charset, "utf-8"))
}

func (b *body) parse(text []byte) bool {
	d := json.NewDecoder(bytes.NewReader(text))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return false
	}
	for d.More() {
		token, err := d.Token()
		key, isKey := token.(string)
		var value json.RawMessage
		if err != nil || !isKey || d.Decode(&value) != nil {
			return false
		}
		if _, twice := b.values[key]; twice {
			return false
		}
		b.values[key] = value
	}
	if _, err := d.Token(); err != nil { // the end of the object
		return false
	}
	_, err := d.Token()
	return errors.Is(err, io.EOF)
}

// field reads a field; nil when it was not sent.
func field[T any](b *body, name string) *T {
	b.known = append(b.known, name)
	text, sent := b.values[name]
	if !sent {
		return nil
	}
	v := new(T)
	if string(text) == "null" || json.Unmarshal(text, v) != nil {
		b.broken = true
	}
	return v
}

// duration reads a field such as "15m".
func duration(b *body, name string) *time.Duration {
	s := field[string](b, name)
	if s == nil {
		return nil
	}
	d, err := time.ParseDuration(*s)
	if err != nil {
		b.refuse(name, `wants a duration such as "15m"`)
	}
	return &d
}

// instant reads a field such as "2030-01-01T12:00:00Z".
func instant(b *body, name string) *time.Time {
	s := field[string](b, name)
	if s == nil {
		return nil
	}
	t, err := time.Parse(time.RFC3339, *s)
	if err != nil {
		b.refuse(name, `wants a time such as "2030-01-01T12:00:00Z"`)
	}
	return &t
}

// numeral reads a field that is a number, as it is spelled; nil for null.
func numeral(b *body, name string) (v *string, sent bool) {
	b.known = append(b.known, name)
	text, sent := b.values[name]
	if string(text) == "null" || !sent {
		return nil, sent
	}
	const longest = 64
	if c := text[0]; c != '-' && (c < '0' || c > '9') || len(text) > longest {
		b.broken = true
	}
	return new(string(text)), true
}

// required is field for one that must have been sent.
func required[T any](b *body, name string) T {
	v := field[T](b, name)
	if v == nil {
		b.refuse(name, "is missing")
		v = new(T)
	}
	return *v
}

func (b *body) refuse(name, detail string) {
	b.bad = append(b.bad, fieldError{"/" + name, detail})
}

// done is what was wrong with the body, once all its fields have been read.
func (b *body) done() error {
	if b.broken {
		return fail(malformedJSON, nil)
	}
	for key := range b.values {
		if slices.Contains(b.known, key) {
			continue
		}
		if slices.ContainsFunc(b.known, func(k string) bool { return strings.EqualFold(k, key) }) {
			return fail(malformedJSON, nil)
		}
		return &failure{problem: unexpectedField, detail: "The body has a field that is not known here: " + strings.ToValidUTF8(key, "?")}
	}
	if len(b.bad) > 0 {
		return &failure{problem: validation, fields: b.bad}
	}
	return nil
}
