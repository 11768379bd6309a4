package adminhttp_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/admin"
	adminhttp "seckill/admin/http"
	"seckill/order"
)

func TestAReportIsWhatTheAuditCountsAndAnExportIsLogged(t *testing.T) {
	t.Parallel()
	d := newAdminAPI(t)
	id := d.sale(10)
	var bought []order.Verdict
	for _, shopper := range []string{"a", "b", "c"} {
		v, err := d.buy(id, shopper)
		require.NoError(t, err)
		bought = append(bought, v)
	}
	_, err := d.store.Cancel(t.Context(), bought[0].ID)
	require.NoError(t, err)
	_, err = d.store.Pay(t.Context(), order.Payment{EventID: "e", OrderID: bought[1].ID, AmountMinor: 9900, Currency: "CNY"})
	require.NoError(t, err)

	r, err := d.service.Report(t.Context(), id)
	require.NoError(t, err)
	v := admin.ViewReport(r)
	one, none := admin.SumView{Orders: 1, Units: 1, AmountMinor: 9900, Amount: "¥99.00"}, admin.SumView{Amount: "¥0.00"}
	require.Equal(t, []admin.SumView{one, one, one, none}, []admin.SumView{v.Confirmed, v.Paid, v.Cancelled, v.Rejected})
	require.Equal(t, []admin.ReturnedView{{Times: 1, Shoppers: 1, Orders: 1, Units: 1}}, v.Returns)
	require.False(t, v.Final)
	audits, err := d.store.Tally(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, audits, r.Tally)
	require.Empty(t, d.history(order.AuditQuery{Actor: "carol"}), "sums are no export")

	call := admin.Call{By: order.Operator{Name: "carol", Role: adminhttp.Operate}, Command: admin.NewCommand()}
	lines := 0
	exported, err := d.service.Export(t.Context(), call, id, func(rs []order.Record) error { lines += len(rs); return nil })
	require.NoError(t, err)
	require.Equal(t, r, exported)
	require.Equal(t, 3, lines)
	log := d.history(order.AuditQuery{Actor: "carol"})
	require.Len(t, log, 1)
	require.Equal(t, "export", log[0].Action)
	require.Equal(t, id, log[0].SaleID)

	full := errors.New("the disk is full")
	call.Command = admin.NewCommand()
	_, err = d.service.Export(t.Context(), call, id, func([]order.Record) error { return full })
	require.Equal(t, full, err, "it is no fault of MySQL")
	_, err = d.service.Export(t.Context(), call, 7, nil)
	require.ErrorIs(t, err, order.ErrNotFound)

	end, _ := admin.Moves("end")
	_, err = d.service.Act(t.Context(), admin.Call{By: call.By, Command: admin.NewCommand()}, id, end)
	require.NoError(t, err)
	final := func() bool {
		r, err := d.service.Report(t.Context(), id)
		require.NoError(t, err)
		return admin.ViewReport(r).Final
	}
	require.False(t, final(), "one is unpaid")
	_, err = d.store.Cancel(t.Context(), bought[2].ID)
	require.NoError(t, err)
	require.True(t, final())
}

func TestEveryAPIThatHasHeardOfTheLastChangeSaysTheSameOfItsSales(t *testing.T) {
	t.Parallel()
	d := newAdminAPI(t)
	id := d.sale(10)
	seen := map[string]bool{}
	look := func(loaded int) string {
		n, digest, err := d.service.Fingerprint(t.Context())
		require.NoError(t, err)
		require.Equal(t, loaded, n)
		seen[digest] = true
		return digest
	}
	first := look(1)
	_, err := d.buy(id, "a")
	require.NoError(t, err)
	require.Equal(t, first, look(1), "orders change no terms")
	for _, action := range []string{"/pause", "/resume"} {
		d.want(200, "POST", path(id, action), "")
		look(1)
	}
	d.sale(5)
	look(2)
	require.NoError(t, d.ledger.Unload(t.Context(), id))
	look(1)
	d.want(200, "POST", path(id, "/rebuild"), "")
	look(2)
	require.Len(t, seen, 6)
	d.mini.SetError("away")
	_, _, err = d.service.Fingerprint(t.Context())
	require.Error(t, err)
}
