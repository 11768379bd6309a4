// Package appendjson appends JSON values to a buffer. Hot paths build their
// bodies with it: they encode nothing by reflection and allocate nothing.
package appendjson

import (
	"time"
	"unicode/utf8"
)

// Time appends t in RFC 3339, UTC, with milliseconds, quoted.
func Time(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	b = append(b, '"')
	b = digits(b, year, 4)
	b = digits(append(b, '-'), int(month), 2)
	b = digits(append(b, '-'), day, 2)
	b = digits(append(b, 'T'), hour, 2)
	b = digits(append(b, ':'), minute, 2)
	b = digits(append(b, ':'), second, 2)
	b = digits(append(b, '.'), t.Nanosecond()/int(time.Millisecond), 3)
	return append(b, 'Z', '"')
}

// digits appends the last digits of n, with leading zeros.
func digits(b []byte, n, count int) []byte {
	b = append(b, "0000"[:count]...)
	for i := range count {
		b[len(b)-1-i] += byte(n % 10)
		n /= 10
	}
	return b
}

// String appends s as a JSON string. Characters that HTML reads as markup are
// escaped too.
func String(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r) // an invalid byte becomes U+FFFD
			i += n
			continue
		}
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c == '<' || c == '>' || c == '&' || c == 0x7f:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
		i++
	}
	return append(b, '"')
}
