package storetest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/order"
)

func reportAddsUp(t *testing.T, s *suite) {
	sale, other := s.sale(t, 5300, 1), s.sale(t, 10, 1)
	var batch []order.Order
	for i := range 5400 {
		o := s.order(t, sale.ID, fmt.Sprint("shopper-", i))
		if i == 0 {
			o.Quantity = 3
		}
		batch = append(batch, o)
		if i%1000 == 0 {
			s.settle(t, s.order(t, other.ID, fmt.Sprint("shopper-", i)))
		}
	}
	s.settleAll(t, batch)
	s.cancel(t, batch[0].ID)
	_, err := s.store.Pay(t.Context(), order.Payment{EventID: s.id(t).String(), OrderID: batch[1].ID, AmountMinor: sale.PriceMinor, Currency: sale.Currency})
	require.NoError(t, err)

	total, err := s.store.Report(t.Context(), sale.ID, nil)
	require.NoError(t, err)
	seen := order.Report{Tally: order.Tally{Orders: map[order.Status]int64{}, Units: map[order.Status]int64{}}, Amounts: map[order.Status]int64{}}
	var last order.ID
	r, err := s.store.Report(t.Context(), sale.ID, func(page []order.Record) error {
		require.LessOrEqual(t, len(page), 5000)
		for _, o := range page {
			require.Equal(t, sale.ID, o.SaleID)
			require.Greater(t, o.ID, last, "each once, by ID")
			last = o.ID
			seen.Orders[o.Status]++
			seen.Units[o.Status] += int64(o.Quantity)
			seen.Amounts[o.Status] += int64(o.Quantity) * o.UnitPrice
		}
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, total, r)
	tally, err := s.store.Tally(t.Context(), sale.ID)
	require.NoError(t, err)
	require.Equal(t, tally, r.Tally, "what the audit counts")
	require.Equal(t, seen.Orders, r.Orders)
	require.Equal(t, seen.Units, r.Units)
	require.Equal(t, seen.Amounts, r.Amounts)
	require.Equal(t, 3*sale.PriceMinor, r.Amounts[order.StatusCancelled])
	require.Equal(t, sale.PriceMinor, r.Amounts[order.StatusPaid])
	require.EqualValues(t, len(batch), r.Orders[order.StatusConfirmed]+r.Orders[order.StatusRejected]+2)
	require.NotZero(t, r.Orders[order.StatusRejected])

	enough := errors.New("enough")
	_, err = s.store.Report(t.Context(), sale.ID, func([]order.Record) error { return enough })
	require.ErrorIs(t, err, enough)
	_, err = s.store.Report(t.Context(), int64(s.id(t)), nil)
	require.ErrorIs(t, err, order.ErrNotFound)
}
