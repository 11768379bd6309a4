package adminhttp_test

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/admin"
	adminhttp "seckill/admin/http"
	"seckill/order"
	"seckill/order/memory"
)

// named creates a sale with that external ID, opens it and returns its ID.
func (d *adminAPI) named(external string) string {
	d.t.Helper()
	made := d.want(http.StatusCreated, http.MethodPost, "sales", strings.Replace(draft(10), "{", `{"external_id":`+strconv.Quote(external)+`,`, 1))
	return d.want(http.StatusOK, http.MethodPost, "sales/"+made.sale.ID+"/open", "").sale.ID
}

func TestASaleIsNamedByItsExternalIDWhereverByItsID(t *testing.T) {
	t.Parallel()
	d := newAdminAPI(t)
	for _, external := range []string{"drop-7", "2026/11?a=b%2F#", "20261111", "pause", "..", "ext:drop"} {
		id := d.named(external)
		number, err := strconv.ParseInt(id, 10, 64)
		require.NoError(t, err)
		_, err = d.buy(number, "zoe")
		require.NoError(t, err)
		name := url.PathEscape("ext:" + external)
		for _, c := range []struct{ method, path, body string }{
			{"GET", "sales/" + name, ""},
			{"POST", "sales/" + name + "/pause", ""},
			{"POST", "sales/" + name + "/resume", ""},
			{"POST", "sales/" + name + "/restock", `{"units":1}`},
			{"GET", "sales/" + name + "/audit", ""},
			{"POST", "sales/" + name + "/rebuild", ""},
		} {
			require.Contains(t, d.want(200, c.method, c.path, c.body).text, `"id":"`+id+`"`, c.path)
		}
		version := d.want(200, "GET", "sales/"+id, "").header.Get("ETag")
		require.Equal(t, id, d.want(200, "PATCH", "sales/"+name, `{"title":"Renamed"}`, "If-Match", version).sale.ID)
		query := "sale_id=" + url.QueryEscape("ext:"+external)
		for _, path := range []string{"orders?" + query, "audit-log?" + query, "live?" + query, "dead-letters?" + query, "payments?" + query} {
			d.want(200, "GET", path, "")
		}
		require.Len(t, d.orders(query), 1)
		require.Equal(t, id, d.orders(query + "&shopper=zoe")[0].SaleID)
	}
	require.Equal(t, "drop-7", d.want(200, "GET", "sales/drop-7", "").sale.ExternalID, "no prefix is needed")
	require.Equal(t, "20261111", d.want(200, "GET", "sales/20261111", "").sale.ExternalID, "not even by digits")
}

func TestNoSaleIsGuessed(t *testing.T) {
	t.Parallel()
	d := newAdminAPI(t)
	id := d.named("first")
	second := d.named(id) // the shop names a sale by the ID of another
	clash := d.want(http.StatusConflict, "POST", "sales/"+id+"/end", "")
	require.Contains(t, clash.body.Detail, "write id:"+id+" or ext:"+id)
	require.Equal(t, "open", d.want(200, "GET", "sales/id:"+id, "").sale.State)
	require.Equal(t, second, d.want(200, "POST", "sales/ext:"+id+"/end", "").sale.ID)
	require.Equal(t, id, d.want(200, "POST", "sales/first/end", "").sale.ID)
	d.want(http.StatusConflict, "GET", "orders?sale_id="+id, "")
	for _, unknown := range []string{"nobody", "ext:first2", "id:5", "5"} {
		r := d.want(404, "POST", "sales/"+unknown+"/pause", "")
		require.Equal(t, "There is no sale "+unknown+".", r.body.Detail)
	}
	d.want(404, "GET", "orders?sale_id=nobody", "")
}

func TestAWordThatIsNearlyRightIsCorrected(t *testing.T) {
	t.Parallel()
	d := newAdminAPI(t)
	id := d.named("drop")
	for _, c := range []struct {
		status             int
		method, path, body string
		says               string
	}{
		{404, "POST", "sales/drop/restok", "", "did you mean restock?"},
		{404, "POST", "sales/drop/viod", "", "did you mean void?"},
		{400, "POST", "sales/drop/restock", `{"unit":5}`, "did you mean units?"},
		{400, "GET", "orders?sale=" + id, "", "did you mean sale_id?"},
		{400, "GET", "audit-log?actro=alice", "", "did you mean actor?"},
		{400, "POST", "sales", `{"title":"t","prise_minor":1}`, "did you mean price_minor?"},
		{400, "PATCH", "limits", `{"shoper_rps":1}`, "did you mean shopper_rps?"},
	} {
		require.Contains(t, d.want(c.status, c.method, c.path, c.body, "If-Match", `"1"`).body.Detail, c.says, c.path)
	}
}

// brokenSale is a store that cannot change one sale.
type brokenSale struct {
	*memory.Store

	id int64
}

func (s *brokenSale) Operate(ctx context.Context, op order.Operation) (order.Sale, error) {
	if op.SaleID == s.id {
		return order.Sale{}, errAway
	}
	return s.Store.Operate(ctx, op)
}

func TestOfAllSalesOneThatFailsStopsNoOther(t *testing.T) {
	t.Parallel()
	d := newAdminAPI(t)
	first, broken, last := d.sale(1), d.sale(1), d.sale(1)
	d.opts.Operations = &brokenSale{d.store, broken}
	d.reopen()
	call := admin.Call{By: order.Operator{Name: "carol", Role: adminhttp.Operate}, Command: admin.NewCommand()}
	outcomes, err := d.service.MoveAll(t.Context(), call, "pause")
	require.NoError(t, err)
	require.Len(t, outcomes, 3)
	for _, o := range outcomes {
		if o.Sale.ID == broken {
			require.ErrorIs(t, o.Err, errAway)
			require.Equal(t, order.SaleOpen, o.Sale.State)
			continue
		}
		require.NoError(t, o.Err)
		require.Equal(t, order.SalePaused, o.Sale.State)
		require.Equal(t, order.SalePaused, d.meta(o.Sale.ID).State)
	}
	d.want(http.StatusServiceUnavailable, http.MethodPost, "sales/pause", "")

	d.opts.Operations = d.store
	d.reopen()
	d.want(200, http.MethodPost, path(last, "/end"), "")
	resumed := d.want(200, http.MethodPost, "sales/resume", "")
	require.Len(t, resumed.body.Items, 1, "only what was paused")
	require.Contains(t, string(resumed.body.Items[0]), strconv.FormatInt(first, 10))
	require.Equal(t, order.SaleOpen, d.meta(first).State)
	require.Empty(t, d.want(200, http.MethodPost, "sales/resume", "").body.Items)
	_, err = d.service.MoveAll(t.Context(), call, "end")
	require.ErrorIs(t, err, order.ErrInvalid, "nobody ends all")
}
