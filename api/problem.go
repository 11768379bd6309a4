package api

import (
	"net/http"
	"strconv"
	"time"

	"seckill/order"
)

// failure is a problem met by one request: the only error that a shopper sees
// anything of.
type failure struct {
	*problem
	detail   *detail // instead of the problem's own, where there is more to say
	cause    error   // logged when it is our fault, never shown
	saleID   int64   // > 0: orders_url of this sale
	orderURL string
	startsAt time.Time
	final    bool // of sold-out: no unit can come back
	fields   []fieldError
	retry    []string // Retry-After, instead of the problem's own
	closing  bool     // the rest of the request is not worth reading
	bearer   string   // WWW-Authenticate
}

// fieldError is one bad field: a JSON pointer, or a query parameter as ?name.
type fieldError struct{ pointer, detail string }

func (f *failure) Error() string {
	if f.cause != nil {
		return f.code + ": " + f.cause.Error()
	}
	return f.code
}

func (f *failure) Unwrap() error { return f.cause }

// fail returns p as an error with its cause, which may be nil.
func fail(p *problem, cause error) *failure { return &failure{problem: p, cause: cause} }

// invalid returns the validation problem of one field.
func invalid(pointer, detail string) *failure {
	return &failure{problem: validation, fields: []fieldError{{pointer, detail}}}
}

// unsure is the answer when nobody knows whether a purchase was reserved: the
// shopper's orders of the sale tell.
func unsure(saleID int64, cause error) *failure {
	return &failure{problem: dependencyDown, detail: &reserveUnknown, saleID: saleID, cause: cause}
}

// notReserved is the answer when a purchase was stopped ahead of any
// reservation.
func notReserved(cause error) *failure {
	return &failure{problem: dependencyDown, detail: &nothingReserved, cause: cause}
}

// noSuchSale is the answer about a sale that does not exist, or has been closed.
func noSuchSale() *failure { return &failure{problem: notFound, detail: &saleUnknown} }

// appendProblem appends the problem document of f to b.
func appendProblem(b []byte, f *failure, l lang) []byte {
	t := f.text(l)
	if f.detail != nil {
		t.detail = f.detail.in(l)
	}
	b = append(b, `{"type":"/problems/`...)
	b = append(b, f.code...)
	b = append(b, `","title":`...)
	b = appendString(b, t.title)
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(f.status), 10)
	b = append(b, `,"code":"`...)
	b = append(b, f.code...)
	b = append(b, `","detail":`...)
	b = appendString(b, t.detail)
	if f.problem == soldOut {
		b = append(b, `,"final":`...)
		b = strconv.AppendBool(b, f.final)
	}
	if !f.startsAt.IsZero() {
		b = append(b, `,"starts_at":`...)
		b = appendTime(b, f.startsAt)
	}
	if f.saleID > 0 {
		b = append(b, `,"orders_url":"/v1/orders?sale_id=`...)
		b = strconv.AppendInt(b, f.saleID, 10)
		b = append(b, '"')
	}
	if f.orderURL != "" {
		b = append(b, `,"order_url":`...)
		b = appendString(b, f.orderURL)
	}
	for i, e := range f.fields {
		if i == 0 {
			b = append(b, `,"errors":[`...)
		} else {
			b = append(b, ',')
		}
		b = append(b, `{"pointer":`...)
		b = appendString(b, e.pointer)
		b = append(b, `,"detail":`...)
		b = appendString(b, e.detail)
		b = append(b, '}')
	}
	if len(f.fields) > 0 {
		b = append(b, ']')
	}
	return append(b, '}')
}

// write answers with the problem document of f.
func (f *failure) write(w http.ResponseWriter, r *http.Request) {
	l := language(r)
	h := w.Header()
	if f.retry != nil {
		h["Retry-After"] = f.retry
	} else if f.retryMin > 0 {
		h["Retry-After"] = retryAfter(f.retryMin, f.retryMax)
	}
	if f.closing {
		h["Connection"] = closeConnection
	}
	if f.bearer != "" {
		h.Set("WWW-Authenticate", f.bearer)
	}
	h["Cache-Control"] = noStore
	h["Content-Language"] = l.Header()
	buf := takeBuffer()
	defer buf.release()
	buf.b = appendProblem(buf.b, f, l)
	writeBody(w, f.status, problemJSON, buf.b)
}

// verdictProblem returns what a rejected order's answer says of the reason.
func verdictProblem(r order.Reason) *problem {
	switch r {
	case order.ReasonSoldOut:
		return soldOut
	case order.ReasonPurchaseLimit:
		return purchaseLimit
	default:
		return orderFailed
	}
}
