package adminhttp

import (
	"net/http"
	"strconv"
	"time"

	"seckill/admin"
	"seckill/internal/problem"
	"seckill/order"
)

func (h *Handler) listSales(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "cursor", "limit")
	if err != nil {
		return err
	}
	before, limit, err := paging(q)
	if err != nil {
		return err
	}
	found, err := h.service.List(r.Context(), before, limit)
	if err != nil {
		return err
	}
	l := list[admin.SaleView]{Items: make([]admin.SaleView, len(found))}
	for i, s := range found {
		l.Items[i] = admin.ViewSale(s)
	}
	if len(found) == limit {
		l.Next = l.Items[limit-1].ID
	}
	writeOK(w, l)
	return nil
}

func (h *Handler) showSale(w http.ResponseWriter, r *http.Request) error {
	id, err := saleID(r)
	if err != nil {
		return err
	}
	s, err := h.service.Sale(r.Context(), id)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", etag(s.Sale.Version))
	writeOK(w, admin.ViewStatus(s))
	return nil
}

func (h *Handler) createSale(w http.ResponseWriter, r *http.Request) error {
	c, err := h.call(r)
	if err != nil {
		return err
	}
	b, err := readBody(r)
	if err != nil {
		return err
	}
	sale := order.Sale{
		Title: required[string](b, "title"), PriceMinor: required[int64](b, "price_minor"),
		Currency: required[string](b, "currency"), Total: required[int](b, "stock"),
		OrdersPerShopper: 1, UnitsPerOrder: 1, PayWithin: 10 * time.Minute,
	}
	patch := order.SalePatch{
		ExternalID: field[string](b, "external_id"), SKU: field[string](b, "sku"),
		OrdersPerShopper: field[int](b, "orders_per_shopper"), UnitsPerOrder: field[int](b, "units_per_order"),
		StartsAt: instant(b, "starts_at"), EndsAt: instant(b, "ends_at"), PayWithin: duration(b, "pay_within"),
		RequirePermit: field[bool](b, "require_permit"), RequireClaim: field[string](b, "require_claim"),
	}
	if err := b.done(); err != nil {
		return err
	}
	made, err := h.service.Create(r.Context(), c, patch.Over(sale))
	if err != nil {
		return err
	}
	w.Header().Set("Location", Prefix+"sales/"+strconv.FormatInt(made.Sale.ID, 10))
	w.Header().Set("ETag", etag(made.Sale.Version))
	writeJSON(w, http.StatusCreated, admin.ViewResult(made))
	return nil
}

func (h *Handler) changeSale(w http.ResponseWriter, r *http.Request) error {
	id, err := saleID(r)
	if err != nil {
		return err
	}
	c, err := h.call(r)
	if err != nil {
		return err
	}
	if c.IfVersion == 0 {
		return problem.New(preconditionRequired, nil)
	}
	b, err := readBody(r)
	if err != nil {
		return err
	}
	patch := order.SalePatch{
		ExternalID: field[string](b, "external_id"), Title: field[string](b, "title"), SKU: field[string](b, "sku"),
		PriceMinor: field[int64](b, "price_minor"), Currency: field[string](b, "currency"),
		OrdersPerShopper: field[int](b, "orders_per_shopper"), UnitsPerOrder: field[int](b, "units_per_order"),
		StartsAt: instant(b, "starts_at"), EndsAt: instant(b, "ends_at"), PayWithin: duration(b, "pay_within"),
		RequirePermit: field[bool](b, "require_permit"), RequireClaim: field[string](b, "require_claim"),
	}
	if err := b.done(); err != nil {
		return err
	}
	return h.done(w, r, c, id, order.Changing(patch))
}

// moveSale answers POST sales/{id}/{action}.
func (h *Handler) moveSale(w http.ResponseWriter, r *http.Request) error {
	id, err := saleID(r)
	if err != nil {
		return err
	}
	c, err := h.call(r)
	if err != nil {
		return err
	}
	b, err := readBody(r)
	if err != nil {
		return err
	}
	action, ok := actionOf(r.PathValue("action"), b)
	if !ok {
		return problem.New(notFound, nil)
	}
	if err := b.done(); err != nil {
		return err
	}
	return h.done(w, r, c, id, action)
}

// actionOf reads the action of that name from a body.
func actionOf(name string, b *body) (order.Action, bool) {
	switch name {
	case "restock":
		units := required[int](b, "units")
		if units == 0 && len(b.bad) == 0 && !b.broken {
			b.refuse("units", "must be a number of units, which may be negative, but not 0")
		}
		return order.Restocking(units), true
	case "void":
		return order.Voiding(), true
	case "extend-pay":
		return extension(b), true
	default:
		return admin.Moves(name)
	}
}

// extension reads how much longer shoppers may take to pay: pay_within is the
// whole time, minutes is added to it.
func extension(b *body) order.Action {
	within, minutes := duration(b, "pay_within"), field[int](b, "minutes")
	const longest = 30 * 24 * 60
	switch {
	case (within == nil) == (minutes == nil):
		b.refuse("pay_within", "must be either pay_within or minutes")
	case within != nil && *within < time.Second:
		b.refuse("pay_within", "must be 1s to 720h")
	case minutes != nil && (*minutes < 1 || *minutes > longest):
		b.refuse("minutes", "must be 1 to "+strconv.Itoa(longest))
	case within != nil:
		return order.Extending(*within, 0)
	case minutes != nil:
		return order.Extending(0, time.Duration(*minutes)*time.Minute)
	}
	return order.Action{}
}

// done acts, and answers with the sale: 202 while Redis does not know it yet.
func (h *Handler) done(w http.ResponseWriter, r *http.Request, c admin.Call, id int64, a order.Action) error {
	result, err := h.service.Act(r.Context(), c, id, a)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", etag(result.Sale.Version))
	writeJSON(w, statusOf(result), admin.ViewResult(result))
	return nil
}

func statusOf(rs ...admin.Result) int {
	for _, r := range rs {
		if r.Behind != nil {
			return http.StatusAccepted
		}
	}
	return http.StatusOK
}

func (h *Handler) pauseAll(w http.ResponseWriter, r *http.Request) error {
	c, err := h.call(r)
	if err != nil {
		return err
	}
	paused, err := h.service.PauseAll(r.Context(), c)
	if err != nil {
		return err
	}
	l := list[admin.SaleView]{Items: make([]admin.SaleView, len(paused))}
	for i, p := range paused {
		l.Items[i] = admin.ViewResult(p)
	}
	writeJSON(w, statusOf(paused...), l)
	return nil
}
