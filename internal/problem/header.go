package problem

import (
	"math/rand/v2"
	"net/http"
	"strconv"

	"seckill/internal/lang"
)

// Header values that never change: setting a shared slice in the map costs no
// allocation. Nobody may write to them.
var (
	ContentType = []string{"application/problem+json"}
	noStore     = []string{"no-store"}
	closing     = []string{"close"}
	delays      = delayTable()
)

// SetHeader sets the headers of the answer, but for its length.
func (f *Failure) SetHeader(h http.Header, l lang.Lang) {
	h["Content-Type"] = ContentType
	h["Content-Language"] = l.Header()
	h["Cache-Control"] = noStore
	if f.Retry != nil {
		h["Retry-After"] = f.Retry
	} else if f.RetryMin > 0 {
		h["Retry-After"] = RetryAfter(f.RetryMin, f.RetryMax)
	}
	if f.Close {
		h["Connection"] = closing
	}
	if f.Challenge != "" {
		h.Set("WWW-Authenticate", f.Challenge)
	}
}

// longestDelay is the longest Retry-After kept ready, in seconds.
const longestDelay = 16

func delayTable() (t [longestDelay + 1][]string) {
	for i := range t {
		t[i] = []string{strconv.Itoa(i)}
	}
	return t
}

// RetryAfter returns a Retry-After between least and most seconds. The jitter
// keeps refused clients from coming back all at once.
func RetryAfter(least, most int) []string {
	return Seconds(least + rand.IntN(most-least+1))
}

// Seconds returns n as a header value. Nobody may write to it.
func Seconds(n int) []string {
	if n >= 0 && n <= longestDelay {
		return delays[n]
	}
	return []string{strconv.Itoa(n)}
}
