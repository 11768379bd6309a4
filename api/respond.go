package api

import (
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"seckill/internal/lang"
	"seckill/internal/problem"
	"seckill/order"
)

// Header values that never change: setting a shared slice in the map costs no
// allocation. Nobody may write to them.
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

// release gives the buffer back, unless it grew large.
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

// invalid returns the validation problem of one field: a JSON pointer, or a
// query parameter as ?name.
func invalid(pointer, detail string) *problem.Failure {
	return &problem.Failure{Type: validation, Fields: []problem.Field{{Pointer: pointer, Detail: detail}}}
}

// reservationUnknown is the answer when the server cannot tell whether the
// purchase was reserved: the list of the shopper's orders can.
func reservationUnknown(saleID int64, cause error) *problem.Failure {
	return &problem.Failure{Type: dependencyDown, Detail: &reserveUnknown, SaleID: saleID, Cause: cause}
}

// notReserved is the answer when a purchase was stopped before any reservation.
func notReserved(cause error) *problem.Failure {
	return &problem.Failure{Type: dependencyDown, Detail: &nothingReserved, Cause: cause}
}

// noSuchSale is the answer about a sale that does not exist or is closed.
func noSuchSale() *problem.Failure { return &problem.Failure{Type: notFound, Detail: &saleUnknown} }

// rejection returns the problem of a rejected order.
func rejection(r order.Reason) *problem.Type {
	switch r {
	case order.ReasonSoldOut:
		return soldOut
	case order.ReasonPurchaseLimit:
		return purchaseLimit
	case order.ReasonAttemptsUsed:
		return attemptsUsed
	default:
		return orderFailed
	}
}

// failureOf maps any error to what the shopper may know of it.
func failureOf(err error) *problem.Failure {
	if f, ok := errors.AsType[*problem.Failure](err); ok {
		return f
	}
	if he, ok := errors.AsType[*echo.HTTPError](err); ok {
		switch he.Code {
		case http.StatusNotFound:
			return problem.New(notFound, nil)
		case http.StatusMethodNotAllowed: // Echo has set Allow
			return problem.New(methodNotAllowed, nil)
		}
	}
	return problem.New(internal, err)
}

// writeFailure answers with the problem document of f.
func writeFailure(w http.ResponseWriter, r *http.Request, f *problem.Failure) {
	l := lang.Of(r)
	f.SetHeader(w.Header(), l)
	buf := takeBuffer()
	defer buf.release()
	buf.b = f.Append(buf.b, l)
	writeBody(w, f.Status, buf.b)
}
