package api

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"seckill/internal/appendjson"
	"seckill/internal/lang"
	"seckill/internal/problem"
	"seckill/order"
)

// view is an order as its shopper sees it.
type view struct {
	order.Order // Quantity is 0 if unknown: lost by Redis, or voided
	status      order.Status
	reason      order.Reason
	amountMinor int64
	currency    string
	decidedAt   time.Time
	payBy       time.Time
}

func (v *view) pending() bool { return v.status == order.StatusPending }

// pendingView is a reservation without a verdict.
func pendingView(o order.Order) view { return view{Order: o, status: order.StatusPending} }

func recordView(r order.Record, currency string) view {
	v := view{Order: r.Order, status: r.Status, reason: r.Reason, currency: currency, decidedAt: r.DecidedAt}
	if r.Status != order.StatusRejected {
		v.amountMinor = r.UnitPrice * int64(r.Quantity)
		v.payBy = r.PayBy
	}
	return v
}

func verdictView(d order.Verdict) view {
	return view{Order: d.Order, status: d.Status, reason: d.Reason}
}

// appendView appends v as JSON; pollAfter is for a pending order.
func appendView(b []byte, v *view, public string, pollAfter time.Duration, l lang.Lang) []byte {
	b = append(b, `{"id":"`...)
	b = append(b, public...)
	b = append(b, `","sale_id":"`...)
	b = strconv.AppendInt(b, v.SaleID, 10)
	b = append(b, '"')
	if v.Quantity > 0 {
		b = append(b, `,"quantity":`...)
		b = strconv.AppendInt(b, int64(v.Quantity), 10)
	}
	if v.Reference != "" {
		b = append(b, `,"reference":`...)
		b = appendjson.String(b, v.Reference)
	}
	b = append(b, `,"status":"`...)
	b = append(b, v.status...)
	b = append(b, `","done":`...)
	b = strconv.AppendBool(b, !v.pending())
	b = append(b, `,"created_at":`...)
	b = appendjson.Time(b, v.ID.Time())
	if v.pending() {
		b = append(b, `,"poll_after_ms":`...)
		b = strconv.AppendInt(b, pollAfter.Milliseconds(), 10)
		return append(b, '}')
	}
	return appendVerdict(b, v, l)
}

func appendVerdict(b []byte, v *view, l lang.Lang) []byte {
	if v.currency != "" && v.status != order.StatusRejected {
		b = append(b, `,"amount_minor":`...)
		b = strconv.AppendInt(b, v.amountMinor, 10)
		b = append(b, `,"currency":`...)
		b = appendjson.String(b, v.currency)
	}
	if !v.decidedAt.IsZero() {
		b = append(b, `,"decided_at":`...)
		b = appendjson.Time(b, v.decidedAt)
	}
	if !v.payBy.IsZero() {
		b = append(b, `,"pay_by":`...)
		b = appendjson.Time(b, v.payBy)
	}
	b = append(b, `,"problem":`...)
	if v.status == order.StatusRejected {
		f := problem.New(rejection(v.reason), nil)
		f.SaleID = v.SaleID // its detail may mention orders_url
		b = f.Append(b, l)
	} else {
		b = append(b, "null"...)
	}
	return append(b, '}')
}

// age returns how long ago an order was made. An order of the future was made by
// a process whose clock is wrong, and is not young for that.
func (s *Server) age(id order.ID) time.Duration { return s.catalog.Now().Sub(id.Time()).Abs() }

// writeOrder answers with an order. Its age says when to ask again.
func (s *Server) writeOrder(w http.ResponseWriter, r *http.Request, status int, v *view, public string, age time.Duration) {
	l := lang.Of(r)
	h := w.Header()
	h["Cache-Control"] = noStore
	var after time.Duration
	if v.pending() {
		after = pollAfter(age)
		h["Retry-After"] = problem.Seconds(seconds(after))
	} else {
		h["Content-Language"] = l.Header()
	}
	buf := takeBuffer()
	defer buf.release()
	buf.b = appendView(buf.b, v, public, after, l)
	writeJSON(w, status, buf.b)
}

const (
	firstPoll   = 950 * time.Millisecond
	slowestPoll = 5 * time.Second
)

// pollAfter is when to ask again for an order of this age: less than a second at
// first, then longer, up to 5 s, with jitter.
func pollAfter(age time.Duration) time.Duration {
	d := min(firstPoll+max(age, 0)/4, slowestPoll)
	return d - time.Duration(rand.Int64N(int64(d)/4))
}
