package api_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/api"
	"seckill/internal/webhook"
	"seckill/order"
)

// payments is a fake that pays and cancels the orders of the backends.
type payments struct {
	backends *backends
	err      error

	mu      sync.Mutex
	paid    []order.Payment
	hanging chan struct{} // if set, cancellations wait for its end
}

func (f *payments) Pay(ctx context.Context, p order.Payment) (order.Receipt, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.paid = append(f.paid, p)
	r, err := f.backends.Get(ctx, p.OrderID)
	switch {
	case f.err != nil:
		return order.Receipt{}, f.err
	case err != nil:
		return order.Receipt{}, err
	case p.CheckAmount(r, &order.Sale{Currency: "CNY"}) != nil:
		return order.Receipt{}, order.ErrAmount
	case r.Status != order.StatusConfirmed:
		return order.Receipt{Outcome: order.OutcomeRefundRequired, Verdict: r.Verdict()}, nil
	}
	r.Status = order.StatusPaid
	f.backends.set(func() { f.backends.rows[r.ID] = r })
	return order.Receipt{Outcome: order.OutcomePaid, Verdict: r.Verdict()}, nil
}

func (f *payments) Cancel(ctx context.Context, id order.ID) (order.Verdict, error) {
	if f.hanging != nil {
		<-f.hanging
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.backends.Get(ctx, id)
	if f.err != nil || err != nil {
		return r.Verdict(), errors.Join(f.err, err)
	}
	r.Status = order.StatusCancelled
	f.backends.set(func() { f.backends.rows[r.ID] = r })
	return r.Verdict(), nil
}

var (
	oldSecret = bytes.Repeat([]byte{1}, 32)
	newSecret = bytes.Repeat([]byte{2}, 32)
)

// newPayments returns a shop that takes payments under two secrets, with a
// confirmed order of shopper 42.
func newPayments(t *testing.T) (*shop, *payments, order.Order) {
	t.Helper()
	f := &payments{}
	s := newShop(t, func(s *shop) {
		f.backends = s.backends
		s.opts.Payments, s.opts.PaymentSecrets = f, [][]byte{newSecret, oldSecret}
	})
	o := mine(time.Second)
	s.backends.rows[o.ID] = rowOf(o, order.StatusConfirmed, "")
	return s, f, o
}

// callback is a signed payment.
func Callback(secret []byte, event string, at time.Time, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/v1/payments", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("webhook-id", event)
	r.Header.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
	r.Header.Set("webhook-signature", webhook.Sign(secret, event, at, []byte(body)))
	return r
}

func paymentOf(id string, amount int, currency string) string {
	return `{"order_id":"` + id + `","amount_minor":` + strconv.Itoa(amount) + `,"currency":"` + currency + `"}`
}

func TestTheSignatureIsThatOfStandardWebhooks(t *testing.T) {
	t.Parallel()
	// The vector that the libraries of Standard Webhooks are tested with.
	secret, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	require.NoError(t, err)
	require.Equal(t, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
		webhook.Sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`)))
}

func TestAPaymentPaysItsOrderOnce(t *testing.T) {
	t.Parallel()
	for name, secret := range map[string][]byte{"the new secret": newSecret, "the old secret": oldSecret} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, f, o := newPayments(t)
			a := s.do(t, Callback(secret, "evt_1", time.Now(), paymentOf(s.publicID(o), 19800, "CNY")))
			require.Equal(t, http.StatusOK, a.StatusCode, a.text)
			require.JSONEq(t, `{"outcome":"paid"}`, a.text)
			require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
			require.Equal(t, []order.Payment{{EventID: "evt_1", OrderID: o.ID, AmountMinor: 19800, Currency: "CNY"}}, f.paid)
			require.Equal(t, "paid", s.get(t, "/v1/orders/"+s.publicID(o)).str("status"))

			require.NotContains(t, s.logs.String(), "refund")
			a = s.do(t, Callback(secret, "evt_2", time.Now(), paymentOf(o.ID.String(), 19800, "CNY")))
			require.Equal(t, http.StatusOK, a.StatusCode, a.text)
			require.JSONEq(t, `{"outcome":"refund_required"}`, a.text)
			require.Contains(t, s.logs.String(), "payment to be refunded")
		})
	}
}

func TestWhatAPaymentMustNotPay(t *testing.T) {
	t.Parallel()
	s, f, o := newPayments(t)
	id, now := s.publicID(o), time.Now()
	good := paymentOf(id, 19800, "CNY")
	other := o
	other.ShopperID = "43"
	change := func(header, value string) *http.Request {
		r := Callback(newSecret, "evt_1", now, good)
		r.Header.Del(header)
		if value != "" {
			r.Header.Set(header, value)
		}
		return r
	}
	twice := Callback(newSecret, "evt_1", now, good)
	twice.Header.Add("webhook-id", "evt_2")
	changed := Callback(newSecret, "evt_1", now, good)
	changed.Body = Callback(newSecret, "evt_1", now, strings.Replace(good, "19800", "19801", 1)).Body
	tests := map[string]struct {
		r      *http.Request
		status int
		code   string
	}{
		"another secret":         {Callback(bytes.Repeat([]byte{3}, 32), "evt_1", now, good), 401, "signature-invalid"},
		"another event":          {change("webhook-id", "evt_2"), 401, "signature-invalid"},
		"another time":           {change("webhook-timestamp", strconv.FormatInt(now.Unix()-1, 10)), 401, "signature-invalid"},
		"another body":           {changed, 401, "signature-invalid"},
		"no signature":           {change("webhook-signature", ""), 401, "signature-invalid"},
		"no event":               {change("webhook-id", ""), 401, "signature-invalid"},
		"no time":                {change("webhook-timestamp", ""), 401, "signature-invalid"},
		"a time that is none":    {change("webhook-timestamp", "now"), 401, "signature-invalid"},
		"two events":             {twice, 401, "signature-invalid"},
		"half a signature":       {change("webhook-signature", "v1,"), 401, "signature-invalid"},
		"another version":        {change("webhook-signature", "v2"+webhook.Sign(newSecret, "evt_1", now, []byte(good))[2:]), 401, "signature-invalid"},
		"many signatures":        {change("webhook-signature", strings.Repeat("v1,AAAA ", 9)), 401, "signature-invalid"},
		"five minutes old":       {Callback(newSecret, "evt_1", now.Add(-5*minute-2*time.Second), good), 401, "signature-invalid"},
		"five minutes ahead":     {Callback(newSecret, "evt_1", now.Add(5*minute+3*time.Second), good), 401, "signature-invalid"},
		"a shopper's token only": {request(http.MethodPost, "/v1/payments", good), 401, "signature-invalid"},
		"too little":             {Callback(newSecret, "evt_1", now, paymentOf(id, 19799, "CNY")), 422, "wrong-amount"},
		"another currency":       {Callback(newSecret, "evt_1", now, paymentOf(id, 19800, "USD")), 422, "wrong-amount"},
		"no currency":            {Callback(newSecret, "evt_1", now, paymentOf(id, 19800, "yuan")), 422, "validation"},
		"a negative amount":      {Callback(newSecret, "evt_1", now, paymentOf(id, -19800, "CNY")), 422, "validation"},
		"an amount of 0":         {Callback(newSecret, "evt_1", now, paymentOf(id, 0, "CNY")), 422, "wrong-amount"},
		"no amount":              {Callback(newSecret, "evt_1", now, `{"order_id":"`+id+`","currency":"CNY"}`), 422, "validation"},
		"nothing":                {Callback(newSecret, "evt_1", now, `{}`), 422, "validation"},
		"an unknown field":       {Callback(newSecret, "evt_1", now, `{"paid":true}`), 400, "unexpected-field"},
		"a repeated field":       {Callback(newSecret, "evt_1", now, good[:len(good)-1]+`,"currency":"USD"}`), 400, "malformed-json"},
		"an amount as text":      {Callback(newSecret, "evt_1", now, `{"amount_minor":"19800"}`), 400, "malformed-json"},
		"no JSON":                {Callback(newSecret, "evt_1", now, `paid`), 400, "malformed-json"},
		"no body":                {Callback(newSecret, "evt_1", now, ``), 400, "malformed-json"},
		"an unknown order":       {Callback(newSecret, "evt_1", now, paymentOf("123", 19800, "CNY")), 404, "not-found"},
		"a forged order":         {Callback(newSecret, "evt_1", now, paymentOf(s.publicID(other), 19800, "CNY")), 404, "not-found"},
		"an order that is none":  {Callback(newSecret, "evt_1", now, paymentOf("x", 19800, "CNY")), 404, "not-found"},
		"another media type":     {change("Content-Type", "text/plain"), 415, "unsupported-media"},
	}
	for name, tt := range tests {
		problem(t, s.do(t, tt.r), tt.status, tt.code)
		require.Equal(t, order.StatusConfirmed, s.backends.rows[o.ID].Status, name)
	}
	require.Len(t, f.paid, 4, "only what is signed and whole reaches the payments")
	a := s.do(t, Callback(newSecret, "evt_1", now.Add(-5*minute+3*time.Second), good))
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
}

func TestPaymentsThatCannotBeTakenNow(t *testing.T) {
	t.Parallel()
	s, f, o := newPayments(t)
	body := paymentOf(o.ID.String(), 19800, "CNY")
	f.err = errors.New("away")
	a := s.do(t, Callback(newSecret, "evt_1", time.Now(), body))
	problem(t, a, 503, "dependency-down")
	require.NotEmpty(t, a.Header.Get("Retry-After"))
	f.err = order.ErrConflict
	problem(t, s.do(t, Callback(newSecret, "evt_1", time.Now(), body)), 422, "event-reused")

	off := newShop(t)
	a = off.do(t, Callback(newSecret, "evt_1", time.Now(), body))
	problem(t, a, 503, "payments-off")
	require.Contains(t, a.str("detail"), "SECKILL_PAYMENT_SECRETS")
}

func TestAShopperCancelsAConfirmedOrder(t *testing.T) {
	t.Parallel()
	s, _, o := newPayments(t)
	path := "/v1/orders/" + s.publicID(o) + "/cancel"
	for range 2 {
		a := s.do(t, request(http.MethodPost, path, ""))
		require.Equal(t, http.StatusOK, a.StatusCode, a.text)
		require.Equal(t, "cancelled", a.str("status"))
		require.Equal(t, s.publicID(o), a.str("id"))
		require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
	}
	require.Equal(t, order.StatusCancelled, s.backends.rows[o.ID].Status)
}

// Whatever shoppers cancel, and however long it takes, payments are booked.
func TestCancellationsDoNotKeepPaymentsOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))) // IDs are positive
		s, f, paid := newPayments(t)
		f.hanging = make(chan struct{})
		s.server.SetLimits(api.Limits{PollInflight: 4096})
		var wg sync.WaitGroup
		var mu sync.Mutex
		answers := map[int]int{}
		for shopper := range 200 {
			o := mine(time.Duration(10+shopper) * time.Second)
			o.ShopperID = strconv.Itoa(1000 + shopper)
			s.backends.set(func() { s.backends.rows[o.ID] = rowOf(o, order.StatusConfirmed, "") })
			for range 3 {
				wg.Go(func() {
					rec := httptest.NewRecorder()
					s.h.ServeHTTP(rec, request(http.MethodPost, "/v1/orders/"+s.publicID(o)+"/cancel", "", "Authorization", "Bearer "+token(o.ShopperID)))
					mu.Lock()
					defer mu.Unlock()
					answers[rec.Code]++
				})
			}
		}
		synctest.Wait()
		require.Equal(t, 3*200-64, answers[429]+answers[503], "64 are in progress")
		require.NotZero(t, answers[429], "two of one shopper")
		require.Equal(t, 200, s.do(t, Callback(newSecret, "e1", time.Now(), paymentOf(s.publicID(paid), 19800, "CNY"))).StatusCode)
		close(f.hanging)
		wg.Wait()
		require.Equal(t, 64, answers[200])
	})
}

func TestWhatAShopperCannotCancel(t *testing.T) {
	t.Parallel()
	s, f, confirmed := newPayments(t)
	pending, paid, refused, nobody := mine(2*time.Second), mine(3*time.Second), mine(4*time.Second), mine(5*time.Second)
	s.backends.entries = pendingEntry(pending)
	s.backends.rows[paid.ID] = rowOf(paid, order.StatusPaid, "")
	s.backends.rows[refused.ID] = rowOf(refused, order.StatusRejected, order.ReasonSoldOut)
	other := confirmed
	other.ShopperID = "43"
	cancel := func(o order.Order, body string) answer {
		return s.do(t, request(http.MethodPost, "/v1/orders/"+s.publicID(o)+"/cancel", body))
	}
	a := cancel(pending, "")
	problem(t, a, 409, "order-pending")
	require.NotEmpty(t, a.Header.Get("Retry-After"))
	problem(t, cancel(paid, ""), 409, "order-paid")
	problem(t, cancel(refused, ""), 409, "sold-out")
	problem(t, cancel(nobody, ""), 409, "order-pending")
	problem(t, cancel(other, ""), 404, "not-found")
	problem(t, cancel(confirmed, `{"refund":true}`), 400, "unexpected-field")
	problem(t, cancel(confirmed, `[]`), 400, "malformed-json")
	problem(t, s.do(t, request(http.MethodPost, "/v1/orders/"+s.publicID(confirmed)+"/cancel", "", "Authorization", "")), 401, "unauthenticated")
	require.Equal(t, http.StatusMethodNotAllowed, s.get(t, "/v1/orders/"+s.publicID(confirmed)+"/cancel").StatusCode)
	problem(t, s.do(t, request(http.MethodPost, "/v1/orders/"+s.publicID(confirmed)+"/cancel", "{}", "Content-Type", "text/plain")), 415, "unsupported-media")
	f.err = errors.New("away")
	problem(t, cancel(confirmed, ""), 503, "dependency-down")
	f.err = nil
	require.Equal(t, http.StatusOK, cancel(confirmed, "{}").StatusCode)
}

func TestTheProblemsOfPaymentsSpeakChinese(t *testing.T) {
	t.Parallel()
	s, _, _ := newPayments(t)
	a := s.do(t, request(http.MethodPost, "/v1/payments", `{}`, "Accept-Language", "zh-CN"))
	problem(t, a, 401, "signature-invalid")
	require.Equal(t, "签名无效", a.str("title"))
}
