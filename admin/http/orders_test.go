package adminhttp_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/admin"
	"seckill/order"
)

func (d *adminAPI) orders(query string) (views []admin.OrderView) {
	d.t.Helper()
	for _, item := range d.want(200, http.MethodGet, "orders?"+query, "").body.Items {
		var v admin.OrderView
		require.NoError(d.t, json.Unmarshal(item, &v))
		views = append(views, v)
	}
	return views
}

func TestAnOrderIsFoundByWhatPeopleKnowOfIt(t *testing.T) {
	t.Parallel()
	d := newAdminAPI(t)
	a, b := d.sale(10), d.sale(10)
	sale := "sale_id=" + strconv.FormatInt(a, 10)
	first, err := d.buy(a, "zoe")
	require.NoError(t, err)
	_, err = d.buy(a, "max")
	require.NoError(t, err)
	_, err = d.buy(b, "zoe")
	require.NoError(t, err)
	waiting := d.reserve(a, "ann")
	id, err := d.ids.Next()
	require.NoError(t, err)
	_, err = d.store.Settle(t.Context(), []order.Order{{ID: id, SaleID: a, ShopperID: "ref", Quantity: 1, Reference: "cart-7"}})
	require.NoError(t, err)

	require.Len(t, d.orders(sale), 3)
	require.Len(t, d.orders("shopper=zoe"), 2)
	require.Empty(t, d.orders("shopper=nobody"))
	of := d.orders(sale + "&shopper=zoe")
	require.Len(t, of, 1)
	require.Equal(t, []string{first.ID.String(), "confirmed", "settled"}, []string{of[0].ID, of[0].Status, of[0].Redis})
	of = d.orders(sale + "&shopper=ann")
	require.Len(t, of, 1, "Redis alone knows it")
	require.Equal(t, []string{waiting.ID.String(), "pending", "pending"}, []string{of[0].ID, of[0].Status, of[0].Redis})
	of = d.orders(sale + "&reference=cart-7")
	require.Len(t, of, 1)
	require.Equal(t, int64(9900), of[0].AmountMinor)
	for _, bad := range []string{"", "reference=cart-7", "reference=x&shopper=zoe", sale + "&shopper=zoe&reference=x"} {
		require.Equal(t, "validation", d.want(422, http.MethodGet, "orders?"+bad, "").body.Code, bad)
	}
	page := d.want(200, http.MethodGet, "orders?"+sale+"&limit=2", "")
	require.Len(t, page.body.Items, 2)
	require.Len(t, d.orders(sale+"&limit=2&cursor="+page.body.Next), 1)
}

func TestAnOrderSaysWhereItIs(t *testing.T) {
	t.Parallel()
	d := newAdminAPI(t)
	id := d.sale(10)
	show := func(path string) (v admin.OrderView) {
		t.Helper()
		require.NoError(t, json.Unmarshal([]byte(d.want(200, http.MethodGet, "orders/"+path, "").text), &v))
		return v
	}
	o := d.reserve(id, "zoe")
	d.want(404, http.MethodGet, "orders/"+o.ID.String(), "")
	d.want(404, http.MethodGet, "orders/no-order", "")
	v := show(o.ID.String() + "?shopper=zoe&sale_id=" + strconv.FormatInt(id, 10))
	require.Equal(t, []string{"pending", "pending"}, []string{v.Status, v.Redis})
	require.Contains(t, v.Where, "Reserved in Redis")
	vs, err := d.store.Settle(t.Context(), []order.Order{o})
	require.NoError(t, err)
	v = show(o.ID.String())
	require.Equal(t, []string{"confirmed", "pending"}, []string{v.Status, v.Redis})
	require.Contains(t, v.Where, "Redis has yet to be told")
	require.NoError(t, d.ledger.Apply(t.Context(), order.Changes(vs)))

	sealer, err := order.NewSealer([]byte("0123456789abcdef0123456789abcdef"))
	require.NoError(t, err)
	v = show(sealer.Seal(o.ID, id, "zoe"))
	require.Equal(t, []string{o.ID.String(), "confirmed", "settled"}, []string{v.ID, v.Status, v.Redis})
	require.NotEmpty(t, v.PayBy)
	require.Equal(t, uint64(2), v.Sale.Redis.Applied)
}

func TestACancelledOrderFreesItsUnits(t *testing.T) {
	t.Parallel()
	d := newAdminAPI(t)
	id := d.sale(1)
	v, err := d.buy(id, "zoe")
	require.NoError(t, err)
	cancel := "orders/" + v.ID.String() + "/cancel"
	require.Equal(t, 403, d.as("victor", http.MethodPost, cancel, "").status)
	for range 2 {
		r := d.want(200, http.MethodPost, cancel, "")
		require.Contains(t, r.text, `"status":"cancelled"`)
	}
	require.Equal(t, int64(1), d.meta(id).Available)
	entries := d.history(order.AuditQuery{})
	require.Equal(t, []string{"cancel", "order " + v.ID.String()}, []string{entries[0].Action, entries[0].Target})
	require.Len(t, entries, 3, "once")

	v, err = d.buy(id, "max")
	require.NoError(t, err)
	_, err = d.store.Pay(t.Context(), order.Payment{EventID: "e", OrderID: v.ID, AmountMinor: 9900, Currency: "CNY"})
	require.NoError(t, err)
	require.Contains(t, d.want(409, http.MethodPost, "orders/"+v.ID.String()+"/cancel", "").body.Detail, "is paid")
	d.want(404, http.MethodPost, "orders/12345/cancel", "")
}

func TestDeadLettersAreListedShownAndDiscarded(t *testing.T) {
	t.Parallel()
	d := newAdminAPI(t)
	id, err := d.ids.Next()
	require.NoError(t, err)
	for _, l := range []order.DeadLetter{
		{MessageID: "m-1", SaleID: 5, Reason: "unreadable", Body: []byte("abc")},
		{OrderID: id, SaleID: 5, ShopperID: "zoe", Reason: "collision"},
	} {
		require.NoError(t, d.store.AddDeadLetter(t.Context(), l))
	}
	require.Len(t, d.want(200, http.MethodGet, "dead-letters", "").body.Items, 2)
	require.Empty(t, d.want(200, http.MethodGet, "dead-letters?sale_id=6", "").body.Items)
	require.Contains(t, d.want(200, http.MethodGet, "dead-letters/m-1", "").text, `"body_hex":"616263"`)
	require.Contains(t, d.want(200, http.MethodGet, "orders/"+id.String(), "").text, `"status":"rejected","reason":"collision"`)
	require.Contains(t, d.want(409, http.MethodPost, "dead-letters/"+id.String()+"/discard", "").body.Detail, "it stays")
	d.want(200, http.MethodPost, "dead-letters/m-1/discard", "")
	d.want(404, http.MethodPost, "dead-letters/m-1/discard", "")
	entries := d.history(order.AuditQuery{SaleID: 5})
	require.Len(t, entries, 1)
	require.Contains(t, string(entries[0].Before), "unreadable")
}

func TestADeadLetterIsNamedAsItIsListed(t *testing.T) {
	t.Parallel()
	d := newAdminAPI(t)
	require.NoError(t, d.store.AddDeadLetter(t.Context(), order.DeadLetter{MessageID: "a/\xff\n", Reason: "unreadable"}))
	var listed admin.DeadLetterView
	require.NoError(t, json.Unmarshal(d.want(200, http.MethodGet, "dead-letters", "").body.Items[0], &listed))
	require.Equal(t, `"a/\xff\n"`, listed.MessageID)
	letter := "dead-letters/" + url.PathEscape(listed.MessageID)
	require.Len(t, d.want(200, http.MethodGet, letter, "").body.Items, 1)
	d.want(200, http.MethodPost, letter+"/discard", "")
	require.Empty(t, d.want(200, http.MethodGet, "dead-letters", "").body.Items)
}

func TestASaleIsAuditedAndRebuilt(t *testing.T) {
	t.Parallel()
	d := newAdminAPI(t)
	id := d.sale(10)
	_, err := d.buy(id, "zoe")
	require.NoError(t, err)
	require.Contains(t, d.as("victor", http.MethodGet, path(id, "/audit"), "").text, `"ok":true`)
	d.want(404, http.MethodGet, path(id+1, "/audit"), "")
	d.mini.HSet("seckill:{"+strconv.FormatInt(id, 10)+"}:m", "total", "99")
	require.Contains(t, d.want(200, http.MethodPost, path(id, "/rebuild"), "").text, `"was_loaded":true`)
	require.Equal(t, []int64{10, 9}, []int64{d.meta(id).Total, d.meta(id).Available})
	scheduled := d.want(http.StatusCreated, http.MethodPost, "sales", draft(1)).sale.ID
	d.want(409, http.MethodPost, "sales/"+scheduled+"/rebuild", "")
	d.want(404, http.MethodPost, path(id+1, "/rebuild"), "")
	require.Equal(t, "rebuild", d.history(order.AuditQuery{SaleID: id})[0].Action)
}
