package api

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"
)

// Header values that never change, shared by all answers: setting them in the
// map costs no allocation. Nobody may write to them.
var (
	contentJSON     = []string{"application/json"}
	problemJSON     = []string{"application/problem+json"}
	noStore         = []string{"no-store"}
	publicSecond    = []string{"public, max-age=1"}
	closeConnection = []string{"close"}
	yes             = []string{"true"}
	waits           = waitTable()
)

// maxWait is the longest Retry-After kept ready, in seconds.
const maxWait = 16

func waitTable() (t [maxWait + 1][]string) {
	for i := range t {
		t[i] = []string{strconv.Itoa(i)}
	}
	return t
}

// retryAfter returns a Retry-After between least and most seconds. The jitter
// keeps the refused from coming back all at once.
func retryAfter(least, most int) []string {
	return wait(least + rand.IntN(most-least+1))
}

func wait(seconds int) []string {
	if seconds >= 0 && seconds <= maxWait {
		return waits[seconds]
	}
	return []string{strconv.Itoa(seconds)}
}

// seconds rounds d up to whole seconds, at least one.
func seconds(d time.Duration) int {
	return max(1, int((d+time.Second-1)/time.Second))
}

// buffer is a body being built. Bodies are appended to it by hand: the hot
// paths encode nothing by reflection.
type buffer struct{ b []byte }

var buffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, 1024)} }}

func takeBuffer() *buffer {
	b, _ := buffers.Get().(*buffer)
	return b
}

// release gives the buffer back; one that grew large is left to the collector.
func (b *buffer) release() {
	if cap(b.b) <= 16<<10 {
		b.b = b.b[:0]
		buffers.Put(b)
	}
}

func writeBody(w http.ResponseWriter, status int, contentType []string, body []byte) {
	h := w.Header()
	h["Content-Type"] = contentType
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone: nothing to tell it
}

// appendTime appends t in RFC 3339, UTC, with milliseconds, quoted.
func appendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	b = append(b, '"')
	b = appendDigits(b, year, 4)
	b = appendDigits(append(b, '-'), int(month), 2)
	b = appendDigits(append(b, '-'), day, 2)
	b = appendDigits(append(b, 'T'), hour, 2)
	b = appendDigits(append(b, ':'), minute, 2)
	b = appendDigits(append(b, ':'), second, 2)
	b = appendDigits(append(b, '.'), t.Nanosecond()/int(time.Millisecond), 3)
	return append(b, 'Z', '"')
}

// appendDigits appends so many digits of n.
func appendDigits(b []byte, n, digits int) []byte {
	b = append(b, "0000"[:digits]...)
	for i := len(b) - 1; digits > 0; i, digits = i-1, digits-1 {
		b[i] += byte(n % 10)
		n /= 10
	}
	return b
}

// appendString appends s as a JSON string. What HTML would read as markup is
// escaped too.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r) // a bad byte becomes U+FFFD
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
