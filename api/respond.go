package api

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Header values that never change, shared by all answers: setting them in the
// map costs no allocation. Nobody may write to them.
var (
	contentJSON     = []string{"application/json"}
	noStore         = []string{"no-store"}
	publicSecond    = []string{"public, max-age=1"}
	closeConnection = []string{"close"}
	yes             = []string{"true"}
)

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

// writeJSON answers with JSON.
func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header()["Content-Type"] = contentJSON
	writeBody(w, status, body)
}

// writeBody answers with a body whose type is set.
func writeBody(w http.ResponseWriter, status int, body []byte) {
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, _ = w.Write(body) // if the client is gone, nobody needs the error
}
