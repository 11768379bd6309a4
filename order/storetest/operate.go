package storetest

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
)

// operator returns an operator that no other test uses.
func (s *suite) operator(t *testing.T) order.Operator {
	t.Helper()
	return order.Operator{Name: "op-" + s.id(t).String(), Role: "operator"}
}

// operate runs an operation under a new command name.
func (s *suite) operate(t *testing.T, by order.Operator, sale order.Sale, a order.Action) (order.Sale, error) {
	t.Helper()
	return s.store.Operate(t.Context(), order.Operation{Command: s.id(t).String(), By: by, SaleID: sale.ID, Action: a})
}

func (s *suite) auditLog(t *testing.T, q order.AuditQuery) []order.AuditEntry {
	t.Helper()
	q.Limit = max(q.Limit, 1000*(1-min(q.Limit, 1)))
	entries, err := s.store.AuditLog(t.Context(), q)
	require.NoError(t, err)
	return entries
}

func operateLogs(t *testing.T, s *suite) {
	by := s.operator(t)
	sale, err := s.store.Create(t.Context(), order.Creation{Command: s.id(t).String(), By: by, Sale: s.draft(t, 10, 1)})
	require.NoError(t, err)
	require.Equal(t, uint64(1), sale.Version)
	made, cmd := sale, s.id(t).String()
	began := time.Now()
	for range 3 { // run again, after an unknown outcome
		sale, err = s.store.Operate(t.Context(), order.Operation{Command: cmd, By: by, SaleID: sale.ID, Action: order.Moving("open", order.SaleOpen)})
		require.NoError(t, err)
	}
	require.Equal(t, uint64(2), sale.Version)
	_, err = s.operate(t, by, sale, order.Moving("open", order.SaleOpen))
	require.NoError(t, err, "there already: no change")
	_, err = s.operate(t, by, sale, order.Restocking(-11))
	require.ErrorIs(t, err, order.ErrConflict)
	sale, err = s.operate(t, by, sale, order.Restocking(5))
	require.NoError(t, err)
	s.move(t, sale.ID, order.SalePaused) // a process of ours

	entries := s.auditLog(t, order.AuditQuery{SaleID: sale.ID})
	require.Len(t, entries, 3, "refusals, repetitions and our own processes are not in it")
	require.Equal(t, entries, s.auditLog(t, order.AuditQuery{Actor: by.Name}))
	require.Equal(t, entries[1:2], s.auditLog(t, order.AuditQuery{Actor: by.Name, SaleID: sale.ID, Before: entries[0].ID, Limit: 1}))
	require.Empty(t, s.auditLog(t, order.AuditQuery{Actor: by.Name[:5]}))
	restocked, opened, created := entries[0], entries[1], entries[2]
	require.Equal(t, []string{"restock", "open", "create"}, []string{restocked.Action, opened.Action, created.Action})
	require.Equal(t, by, opened.By)
	require.Equal(t, cmd, opened.Command)
	require.WithinDuration(t, began, opened.At, 10*time.Second)
	require.JSONEq(t, `{"state":"scheduled","version":1}`, string(opened.Before))
	require.JSONEq(t, `{"state":"open","version":2}`, string(opened.After))
	require.JSONEq(t, `{"total":10,"available":10,"version":2}`, string(restocked.Before))
	require.JSONEq(t, `{"total":15,"available":15,"version":3}`, string(restocked.After))
	require.Nil(t, created.Before)
	var terms struct {
		Price int64     `json:"price_minor"`
		Title string    `json:"title"`
		Ends  time.Time `json:"ends_at"`
	}
	require.NoError(t, json.Unmarshal(created.After, &terms))
	require.Equal(t, int64(9900), terms.Price)
	require.Equal(t, "Ein Stück 限量", terms.Title)
	require.True(t, sale.EndsAt.Equal(terms.Ends))
	require.Equal(t, uint64(3), s.check(t, made)[sale.ID])
}

func operateVersions(t *testing.T, s *suite) {
	by, sale := s.operator(t), s.sale(t, 10, 1)
	op := order.Operation{Command: s.id(t).String(), By: by, SaleID: sale.ID, IfVersion: 2, Action: order.Moving("open", order.SaleOpen)}
	_, err := s.store.Operate(t.Context(), op)
	require.ErrorIs(t, err, order.ErrStale)
	op.IfVersion = 1
	sale, err = s.store.Operate(t.Context(), op)
	require.NoError(t, err, "what was refused has not used up the command's name")
	require.Equal(t, uint64(2), sale.Version)
	sale, err = s.store.Operate(t.Context(), op)
	require.NoError(t, err, "run again: its own change made it stale")
	require.Equal(t, uint64(2), sale.Version)
	s.settle(t, s.order(t, sale.ID, "a"))
	s.move(t, sale.ID, order.SalePaused)
	read := s.read(t, sale.ID)
	require.Equal(t, uint64(2), read.Version, "orders and our own processes do not raise it")
	require.Len(t, s.auditLog(t, order.AuditQuery{SaleID: sale.ID}), 1)
}

func operatorsRace(t *testing.T, s *suite) {
	sale := s.sale(t, 10, 1)
	var won atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		by, cmd := s.operator(t), s.id(t).String()
		wg.Go(func() {
			title := strings.Repeat("x", i+1)
			_, err := s.store.Operate(t.Context(), order.Operation{
				Command: cmd, By: by, SaleID: sale.ID, IfVersion: 1, Action: order.Changing(order.SalePatch{Title: &title}),
			})
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, order.ErrStale) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, int64(1), won.Load())
	read := s.read(t, sale.ID)
	require.Equal(t, uint64(2), read.Version)
	entries := s.auditLog(t, order.AuditQuery{SaleID: sale.ID})
	require.Len(t, entries, 1)
	require.JSONEq(t, string(entries[0].After), `{"title":"`+read.Title+`","version":2}`)
}

func changeFixed(t *testing.T, s *suite) {
	by, sale := s.operator(t), s.sale(t, 10, 1)
	made, other := sale, s.sale(t, 1, 1)
	price, slots, units, within := int64(1), 2, 7, time.Hour
	title, empty := "Neu", ""
	starts, ends := sale.StartsAt.Add(time.Minute), sale.EndsAt.Add(time.Minute)
	change := func(p order.SalePatch) error {
		moved, err := s.operate(t, by, sale, order.Changing(p))
		if err == nil {
			sale = moved
		}
		return err
	}
	var field *order.FieldError
	require.ErrorAs(t, change(order.SalePatch{Title: &empty}), &field)
	require.Equal(t, "title", field.Field)
	require.ErrorIs(t, change(order.SalePatch{ExternalID: &other.ExternalID}), order.ErrConflict)
	require.NoError(t, change(order.SalePatch{PriceMinor: &price, OrdersPerShopper: &slots, UnitsPerOrder: &units, PayWithin: &within}))
	require.Equal(t, []any{int64(1), 2, 7, time.Hour, uint64(2)}, []any{sale.PriceMinor, sale.OrdersPerShopper, sale.UnitsPerOrder, sale.PayWithin, sale.Version})
	for range 2 { // at once: the first order may have its store remember the terms
		price++
		require.NoError(t, change(order.SalePatch{PriceMinor: &price}))
		early := s.order(t, sale.ID, s.id(t).String())
		s.settle(t, early)
		require.Equal(t, price, s.record(t, early.ID).UnitPrice)
	}
	price = 1
	require.NoError(t, change(order.SalePatch{PriceMinor: &price}))

	var err error
	sale, err = s.operate(t, by, sale, order.Moving("open", order.SaleOpen))
	require.NoError(t, err)
	price, slots, units, within = 2, 3, 8, 2*time.Hour
	for name, p := range map[string]order.SalePatch{
		"price": {PriceMinor: &price}, "limit": {OrdersPerShopper: &slots}, "units": {UnitsPerOrder: &units}, "pay": {PayWithin: &within},
	} {
		require.ErrorIs(t, change(p), order.ErrConflict, name)
	}
	require.NoError(t, change(order.SalePatch{Title: &title, StartsAt: &starts, EndsAt: &ends, PriceMinor: &sale.PriceMinor}))
	require.Equal(t, []any{title, starts, ends, 10}, []any{sale.Title, sale.StartsAt, sale.EndsAt, sale.Total})
	cs, err := s.store.Changes(t.Context(), sale.ID, sale.Seq-1, 1)
	require.NoError(t, err)
	require.Equal(t, &order.SaleEffect{State: order.SaleOpen, StartsAt: starts, EndsAt: ends}, cs[0].Sale)

	o := s.order(t, sale.ID, "a")
	s.settle(t, o)
	require.Equal(t, int64(1), s.record(t, o.ID).UnitPrice, "the price it was opened at")
	sale, err = s.operate(t, by, sale, order.Moving("end", order.SaleEnded))
	require.NoError(t, err)
	later := ends.Add(time.Hour)
	require.ErrorIs(t, change(order.SalePatch{EndsAt: &later}), order.ErrConflict)
	require.NoError(t, change(order.SalePatch{ExternalID: &empty}))
	read := s.read(t, sale.ID)
	require.Equal(t, sale, read)
	s.check(t, made)
}

func createOnce(t *testing.T, s *suite) {
	by := s.operator(t)
	c := order.Creation{Command: s.id(t).String(), By: by, Sale: s.draft(t, 10, 1)}
	c.Sale.ExternalID = ""
	first, err := s.store.Create(t.Context(), c)
	require.NoError(t, err)
	again := c
	again.Sale.ID = int64(s.id(t)) // the operator's retry: another ID, the same command
	made, err := s.store.Create(t.Context(), again)
	require.NoError(t, err)
	require.Equal(t, first, made)
	again.Sale.PriceMinor++
	_, err = s.store.Create(t.Context(), again)
	require.ErrorIs(t, err, order.ErrReused)
	_, err = s.store.Operate(t.Context(), order.Operation{Command: c.Command, By: by, SaleID: first.ID, Action: order.Restocking(1)})
	require.ErrorIs(t, err, order.ErrReused)
	require.Len(t, s.auditLog(t, order.AuditQuery{Actor: by.Name}), 1)

	known := order.Creation{Command: s.id(t).String(), By: by, Sale: s.draft(t, 10, 1)}
	old, err := s.store.CreateSale(t.Context(), known.Sale)
	require.NoError(t, err)
	known.Sale.ID = int64(s.id(t))
	for range 2 { // found by its external ID, and then by the command
		made, err = s.store.Create(t.Context(), known)
		require.NoError(t, err)
		require.Equal(t, old, made)
	}
	require.Len(t, s.auditLog(t, order.AuditQuery{Actor: by.Name}), 1)
}

func noteOnce(t *testing.T, s *suite) {
	by, sale := s.operator(t), s.sale(t, 1, 1)
	e := order.AuditEntry{By: by, Action: "rebuild", SaleID: sale.ID, Target: "sale", Command: s.id(t).String()}
	for i := range 3 {
		fresh, err := s.store.Note(t.Context(), e)
		require.NoError(t, err)
		require.Equal(t, i == 0, fresh)
	}
	e.SaleID++
	_, err := s.store.Note(t.Context(), e)
	require.ErrorIs(t, err, order.ErrReused)
	entries := s.auditLog(t, order.AuditQuery{Actor: by.Name})
	require.Len(t, entries, 1)
	require.Nil(t, entries[0].Before)
	require.Equal(t, "sale", entries[0].Target)
}

// auditPages reads the whole log, to which other tests append meanwhile.
func auditPages(t *testing.T, s *suite) {
	by, sale := s.operator(t), s.sale(t, 1, 1)
	var want, got []string // newest first
	for range 5 {
		cmd := s.id(t).String()
		_, err := s.store.Note(t.Context(), order.AuditEntry{By: by, Action: "rebuild", SaleID: sale.ID, Command: cmd})
		require.NoError(t, err)
		want = append([]string{cmd}, want...)
	}
	for before := int64(0); ; {
		page := s.auditLog(t, order.AuditQuery{Before: before, Limit: 2})
		require.LessOrEqual(t, len(page), 2)
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			require.Positive(t, e.ID, "0 stands for the newest")
			require.True(t, before == 0 || e.ID < before, "%d after %d", e.ID, before)
			before = e.ID
			if e.By == by {
				got = append(got, e.Command)
			}
		}
	}
	require.Equal(t, want, got)
}

func operatorCancels(t *testing.T, s *suite) {
	by, sale := s.operator(t), s.sale(t, 10, 1)
	o := s.order(t, sale.ID, "a")
	s.settle(t, o)
	for range 2 {
		v, err := s.store.CancelAs(t.Context(), by, "cmd", o.ID)
		require.NoError(t, err)
		requireVerdict(t, v, order.StatusCancelled, "")
	}
	letter := order.DeadLetter{MessageID: s.id(t).String() + "ü", SaleID: sale.ID, Reason: "unreadable", Body: []byte("abc")}
	require.NoError(t, s.store.AddDeadLetter(t.Context(), letter))
	require.NoError(t, s.store.DiscardAs(t.Context(), by, "cmd", letter))
	require.ErrorIs(t, s.store.DiscardAs(t.Context(), by, "cmd", letter), order.ErrNotFound)
	entries := s.auditLog(t, order.AuditQuery{SaleID: sale.ID})
	require.Len(t, entries, 2)
	require.Equal(t, "discard", entries[0].Action)
	require.Contains(t, string(entries[0].Before), `"reason":"unreadable"`)
	require.Equal(t, []string{"cancel", "order " + o.ID.String(), by.Name}, []string{entries[1].Action, entries[1].Target, entries[1].By.Name})
	require.Equal(t, 10, s.available(t, sale.ID))
}

func salesNamed(t *testing.T, s *suite) {
	sale := s.sale(t, 1, 1)
	id := strconv.FormatInt(sale.ID, 10)
	pick := func(text string) (order.Sale, error) {
		n, err := order.ParseSaleName(text)
		require.NoError(t, err)
		found, err := s.store.SalesNamed(t.Context(), n)
		require.NoError(t, err)
		return n.Pick(found)
	}
	for _, text := range []string{id, "id:" + id, sale.ExternalID, "ext:" + sale.ExternalID} {
		found, err := pick(text)
		require.NoError(t, err, text)
		require.Equal(t, sale, found, text)
	}
	for _, text := range []string{"ext:" + id, "ext:nobody-" + id, strings.ToUpper(sale.ExternalID), s.id(t).String()} {
		_, err := pick(text)
		require.ErrorIs(t, err, order.ErrNotFound, text)
	}

	twin := s.draft(t, 1, 1)
	twin.ExternalID = id
	twin, err := s.store.CreateSale(t.Context(), twin)
	require.NoError(t, err)
	_, err = pick(id)
	require.ErrorIs(t, err, order.ErrConflict, "no sale is guessed")
	for text, want := range map[string]int64{"id:" + id: sale.ID, "ext:" + id: twin.ID} {
		found, err := pick(text)
		require.NoError(t, err)
		require.Equal(t, want, found.ID)
	}

	anonymous := s.draft(t, 1, 1)
	anonymous.ExternalID = ""
	_, err = s.store.CreateSale(t.Context(), anonymous)
	require.NoError(t, err)
	_, err = pick("id:" + s.id(t).String())
	require.ErrorIs(t, err, order.ErrNotFound, "no external ID is no name")
}

func salesPages(t *testing.T, s *suite) {
	a, b, c := s.sale(t, 1, 1), s.sale(t, 1, 1), s.sale(t, 1, 1)
	s.move(t, b.ID, order.SaleEnded, order.SaleClosed)
	var ids []int64
	for before := c.ID + 1; before > a.ID; {
		page, err := s.store.SalesBefore(t.Context(), before, 1)
		require.NoError(t, err)
		require.Len(t, page, 1)
		before = page[0].ID
		if before == a.ID || before == b.ID || before == c.ID {
			ids = append(ids, before)
		}
	}
	require.Equal(t, []int64{c.ID, b.ID, a.ID}, ids)
	newest, err := s.store.SalesBefore(t.Context(), 0, 1)
	require.NoError(t, err)
	require.GreaterOrEqual(t, newest[0].ID, c.ID)
}

func ordersFound(t *testing.T, s *suite) {
	a, b := s.sale(t, 100, 1), s.sale(t, 100, 1)
	shopper := "sh-" + s.id(t).String()
	var ids []order.ID
	for i := range 5 {
		o, other := s.order(t, a.ID, "x"+s.id(t).String()), s.order(t, b.ID, "y"+s.id(t).String())
		if i == 3 {
			o.Reference, o.ShopperID, other.ShopperID = "cart", shopper, shopper
		}
		s.settle(t, o, other)
		ids = append(ids, o.ID)
	}
	idsOf := func(rs []order.Record) (found []order.ID) {
		for _, r := range rs {
			found = append(found, r.ID)
		}
		return found
	}
	rs, next, err := s.store.Orders(t.Context(), order.Query{SaleID: a.ID, Limit: 3})
	require.NoError(t, err)
	require.Equal(t, []order.ID{ids[4], ids[3], ids[2]}, idsOf(rs))
	require.Equal(t, ids[2], next)
	rs, next, err = s.store.Orders(t.Context(), order.Query{SaleID: a.ID, Limit: 3, Before: next})
	require.NoError(t, err)
	require.Equal(t, []order.ID{ids[1], ids[0]}, idsOf(rs))
	require.Zero(t, next)
	rs, _, err = s.store.Orders(t.Context(), order.Query{SaleID: a.ID, Reference: "cart", Limit: 3})
	require.NoError(t, err)
	require.Equal(t, []order.ID{ids[3]}, idsOf(rs))
	rs, err = s.store.OfShopper(t.Context(), []int64{a.ID, b.ID}, shopper, 0, 10)
	require.NoError(t, err)
	require.Len(t, rs, 2)
	require.Equal(t, b.ID, rs[0].SaleID, "newest first")
	rest, err := s.store.OfShopper(t.Context(), []int64{a.ID, b.ID}, shopper, rs[0].ID, 10)
	require.NoError(t, err)
	require.Equal(t, rs[1:], rest)
	rs, err = s.store.OfShopper(t.Context(), []int64{a.ID}, shopper, 0, 10)
	require.NoError(t, err)
	require.Equal(t, []order.ID{ids[3]}, idsOf(rs))
	rs, err = s.store.OfShopper(t.Context(), nil, shopper, 0, 10)
	require.NoError(t, err)
	require.Empty(t, rs)
}
