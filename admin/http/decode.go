package adminhttp

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"seckill/internal/problem"
	"seckill/internal/strictjson"
	"seckill/internal/suggest"
)

// maxBody is the largest body read.
const maxBody = 64 << 10

// body is a JSON object as it was sent. What is wrong with its fields is
// collected, and returned by done.
type body struct {
	values map[string]json.RawMessage
	known  []string
	bad    []problem.Field
	types  []problem.Field // whose value has another type than the field
}

// body reads the body of the request: one JSON object, or nothing.
func (in *input) body() *body {
	b, err := readBody(in.Request)
	if err != nil {
		in.fail(err)
	}
	return b
}

func readBody(r *http.Request) (*body, error) {
	types := r.Header["Content-Type"]
	if len(r.Header["Content-Encoding"]) > 0 || r.ContentLength != 0 && (len(types) != 1 || !strictjson.MediaType(types[0], "application/json", "application/merge-patch+json")) {
		return nil, problem.New(unsupportedMedia, nil)
	}
	text, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, problem.New(tooLarge, nil)
	}
	if err != nil {
		return nil, problem.New(malformedJSON, nil)
	}
	return bodyOf(text)
}

func bodyOf(text []byte) (*body, error) {
	b := &body{values: map[string]json.RawMessage{}}
	if len(text) == 0 {
		return b, nil
	}
	err := strictjson.Members(text, func(key string, value []byte) bool {
		b.values[key] = value
		return true
	})
	if err != nil {
		return nil, problem.New(malformedJSON, nil)
	}
	return b, nil
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
		b.types = append(b.types, problem.Field{Pointer: "/" + name, Detail: kindOf(v) + ", not " + clip(text)})
	}
	return v
}

// kindOf says what a field must be.
func kindOf(v any) string {
	switch v.(type) {
	case *string:
		return "must be text"
	case *bool:
		return "must be true or false"
	default:
		return "must be a whole number"
	}
}

// clip bounds what is repeated of a value.
func clip(text []byte) string {
	const most = 40
	if len(text) > most {
		return strings.ToValidUTF8(string(text[:most]), "") + "…"
	}
	return string(text)
}

// duration reads a field such as "15m".
func duration(b *body, name string) *time.Duration {
	s := field[string](b, name)
	if s == nil {
		return nil
	}
	d, err := time.ParseDuration(*s)
	if err != nil {
		b.refuse(name, `must be a duration such as "15m"`)
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
		b.refuse(name, `must be a time such as "2030-01-01T12:00:00Z"`)
	}
	return &t
}

// numeral reads a number as it is spelled; nil for null.
func numeral(b *body, name string) (v *string, sent bool) {
	b.known = append(b.known, name)
	text, sent := b.values[name]
	if string(text) == "null" || !sent {
		return nil, sent
	}
	const longest = 64
	if c := text[0]; c != '-' && (c < '0' || c > '9') || len(text) > longest {
		b.types = append(b.types, problem.Field{Pointer: "/" + name, Detail: "must be a number, not " + clip(text)})
	}
	return new(string(text)), true
}

// required is field for one that must be sent.
func required[T any](b *body, name string) T {
	v := field[T](b, name)
	if v == nil {
		b.refuse(name, "is missing")
		v = new(T)
	}
	return *v
}

func (b *body) refuse(name, detail string) {
	b.bad = append(b.bad, problem.Field{Pointer: "/" + name, Detail: detail})
}

const unknownField = "is not known here"

// done returns what is wrong with the body. Call it when all fields are read.
func (b *body) done() error {
	if len(b.types) > 0 {
		return &problem.Failure{Type: malformedJSON, Fields: append(b.types, b.bad...)}
	}
	var unknown, renamed []problem.Field
	for _, key := range slices.Sorted(maps.Keys(b.values)) {
		pointer := "/" + strings.ToValidUTF8(key, "?")
		switch err := strictjson.Name(key, b.known); {
		case errors.Is(err, strictjson.ErrUnknownField):
			unknown = append(unknown, problem.Field{Pointer: pointer, Detail: unknownField + suggest.Remark(key, b.known)})
		case err != nil:
			renamed = append(renamed, problem.Field{Pointer: pointer, Detail: "must be written in lower case"})
		}
	}
	switch {
	case renamed != nil:
		return &problem.Failure{Type: malformedJSON, Fields: renamed}
	case unknown != nil:
		f := because(unexpectedField, "The body has an unknown field: "+strings.TrimPrefix(unknown[0].Pointer, "/")+strings.TrimPrefix(unknown[0].Detail, unknownField))
		f.Fields = unknown
		return f
	}
	if len(b.bad) > 0 {
		return &problem.Failure{Type: validation, Fields: b.bad}
	}
	return nil
}
