package adminhttp_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/admin"
	"seckill/order"
)

// payments returns all payments of a query, by following the cursors.
func (d *adminAPI) payments(query string) (views []admin.PaymentView) {
	d.t.Helper()
	for cursor := ""; ; {
		r := d.want(200, http.MethodGet, "payments?limit=2&"+query+cursor, "")
		for _, item := range r.body.Items {
			var v admin.PaymentView
			require.NoError(d.t, json.Unmarshal(item, &v))
			views = append(views, v)
		}
		if r.body.Next == "" {
			return views
		}
		cursor = "&cursor=" + url.QueryEscape(r.body.Next)
	}
}

func TestMoneyToReturnIsListedUntilAnOperatorHasReturnedIt(t *testing.T) {
	t.Parallel()
	d := newAdminAPI(t)
	id, other := d.sale(10), d.sale(10)
	events := []string{"evt/..%2F?&=", "..", "evt_3"}
	var late order.Verdict
	for _, sale := range []int64{id, other} {
		v, err := d.buy(sale, "zoe")
		require.NoError(t, err)
		pay := func(event string) {
			_, err := d.store.Pay(t.Context(), order.Payment{EventID: event, OrderID: v.ID, AmountMinor: 9900, Currency: "CNY"})
			require.NoError(t, err)
		}
		pay(fmt.Sprint("paid-", sale))
		if sale == id {
			for _, e := range events {
				pay(e)
			}
			late = v
		}
	}
	sale := fmt.Sprintf("sale_id=%d", id)
	require.Len(t, d.payments(""), 5)
	require.Len(t, d.payments(sale), 4)
	require.Len(t, d.payments("shopper=zoe&refund_required=false"), 5)
	require.Empty(t, d.payments("shopper=max"))
	due := d.payments("refund_required=true&" + sale)
	require.Len(t, due, 3)
	for _, v := range due {
		require.NotEmpty(t, v.ReceivedAt)
		require.Equal(t, admin.PaymentView{
			EventID: v.EventID, OrderID: late.ID.String(), SaleID: strconv.FormatInt(id, 10), ShopperID: "zoe", AmountMinor: 9900, Amount: "¥99.00", Currency: "CNY",
			Outcome: "refund_required", Reason: "paid", RefundDue: true, ReceivedAt: v.ReceivedAt,
		}, v)
	}
	for _, bad := range []string{"refund_required=1", "refund_required=", "sale_id=", "limit=0", "cursor=nobody"} {
		require.Equal(t, "validation", d.want(422, http.MethodGet, "payments?"+bad, "").body.Code, bad)
	}
	require.Equal(t, "unexpected-field", d.want(400, http.MethodGet, "payments?refund=true", "").body.Code)

	mark := func(event string) string { return "payments/" + url.PathEscape(event) + "/refunded" }
	require.Equal(t, 403, d.as("victor", http.MethodPost, mark("evt_3"), "").status)
	require.Equal(t, "not-found", d.want(404, http.MethodPost, mark("nobody"), "").body.Code)
	r := d.want(409, http.MethodPost, mark(fmt.Sprint("paid-", id)), "")
	require.Contains(t, r.body.Detail, "it is not to be refunded")
	first := d.want(200, http.MethodPost, mark("evt_3"), "").text
	require.JSONEq(t, first, d.want(200, http.MethodPost, mark("evt_3"), "").text, "again")
	d.want(200, http.MethodPost, mark(events[0]), "")
	d.want(200, http.MethodPost, "payments/%2E%2E/refunded", "")
	require.Empty(t, d.payments("refund_required=true&"+sale))
	require.Len(t, d.history(order.AuditQuery{Actor: "alice", SaleID: id}), 5, "created, opened, and each refund once")

	var shown admin.OrderView
	require.NoError(t, json.Unmarshal([]byte(d.want(200, http.MethodGet, "orders/"+late.ID.String(), "").text), &shown))
	require.Len(t, shown.Payments, 4)
	report, err := d.service.Report(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, []admin.RefundView{{Currency: "CNY", Refunded: 3, RefundedMinor: 3 * 9900}}, admin.ViewReport(report).Refunds)
}
