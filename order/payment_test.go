package order_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/order"
)

func TestAPaymentOfAnOrderWhoseSaleIsGoneHasTheWrongAmount(t *testing.T) {
	t.Parallel()
	r := order.Record{Order: order.Order{ID: 1, SaleID: 2, Quantity: 2}, Status: order.StatusConfirmed, UnitPrice: 5}
	p := order.Payment{EventID: "e", OrderID: 1, AmountMinor: 10, Currency: "CNY"}
	require.NoError(t, p.CheckAmount(r, &order.Sale{Currency: "CNY"}))
	require.ErrorIs(t, p.CheckAmount(r, nil), order.ErrAmount)
}
