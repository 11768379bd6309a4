package adminhttp

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"seckill/admin"
	"seckill/internal/suggest"
	"seckill/order"
)

func (h *Handler) listSales(_ http.ResponseWriter, r *http.Request) (any, error) {
	in := queryOf(r, "cursor", "limit")
	before, limit := in.page()
	if in.err != nil {
		return nil, in.err
	}
	found, err := h.service.List(r.Context(), before, limit)
	return pageOf(found, limit, admin.ViewSale, func(v admin.SaleView) string { return v.ID }), err
}

func (h *Handler) showSale(w http.ResponseWriter, r *http.Request) (any, error) {
	in := inputOf(r)
	id := h.sale(r.Context(), in)
	if in.err != nil {
		return nil, in.err
	}
	s, err := h.service.Sale(r.Context(), id)
	if err != nil {
		return nil, err
	}
	w.Header().Set("ETag", etag(s.Sale.Version))
	return admin.ViewStatus(s), nil
}

func (h *Handler) createSale(w http.ResponseWriter, r *http.Request) (any, error) {
	in := inputOf(r)
	c, b := in.call(), in.body()
	if in.err != nil {
		return nil, in.err
	}
	sale, err := b.sale()
	if err != nil {
		return nil, err
	}
	made, err := h.service.Create(r.Context(), c, sale)
	if err != nil {
		return nil, err
	}
	w.Header().Set("Location", Prefix+"sales/"+strconv.FormatInt(made.Sale.ID, 10))
	w.Header().Set("ETag", etag(made.Sale.Version))
	return response{http.StatusCreated, admin.ViewResult(made)}, nil
}

// DecodeSale reads the JSON of a new sale as POST sales does. The error is a
// *problem.Failure that names each field.
func DecodeSale(text []byte) (order.Sale, error) {
	b, err := bodyOf(text)
	if err != nil {
		return order.Sale{}, err
	}
	return b.sale()
}

func (b *body) sale() (order.Sale, error) {
	sale := order.Sale{
		Title: required[string](b, "title"), PriceMinor: required[int64](b, "price_minor"),
		Currency: required[string](b, "currency"), Total: required[int](b, "stock"),
		OrdersPerShopper: 1, UnitsPerOrder: 1, AttemptsPerShopper: order.DefaultAttempts, PayWithin: 10 * time.Minute,
	}
	patch := patchOf(b)
	return patch.Over(sale), b.done()
}

// patchOf reads the fields that may be absent when a sale is created.
func patchOf(b *body) order.SalePatch {
	return order.SalePatch{
		ExternalID: field[string](b, "external_id"), SKU: field[string](b, "sku"),
		OrdersPerShopper: field[int](b, "orders_per_shopper"), UnitsPerOrder: field[int](b, "units_per_order"),
		AttemptsPerShopper: field[int](b, "attempts_per_shopper"),
		StartsAt:           instant(b, "starts_at"), EndsAt: instant(b, "ends_at"), PayWithin: duration(b, "pay_within"),
		RequirePermit: field[bool](b, "require_permit"), RequireClaim: field[string](b, "require_claim"),
	}
}

func (h *Handler) changeSale(w http.ResponseWriter, r *http.Request) (any, error) {
	in := inputOf(r)
	c, b := in.change(), in.body()
	if in.err != nil {
		return nil, in.err
	}
	patch, err := b.patch()
	if err != nil {
		return nil, err
	}
	id := h.sale(r.Context(), in)
	if in.err != nil {
		return nil, in.err
	}
	return h.done(w, r, c, id, order.Changing(patch))
}

// DecodePatch reads the JSON of a change to a sale as PATCH sales/{id} does. The error
// is a *problem.Failure that names each field.
func DecodePatch(text []byte) (order.SalePatch, error) {
	b, err := bodyOf(text)
	if err != nil {
		return order.SalePatch{}, err
	}
	return b.patch()
}

func (b *body) patch() (order.SalePatch, error) {
	patch := patchOf(b)
	patch.Title, patch.PriceMinor, patch.Currency = field[string](b, "title"), field[int64](b, "price_minor"), field[string](b, "currency")
	return patch, b.done()
}

// moveSale answers POST sales/{id}/{action}.
func (h *Handler) moveSale(w http.ResponseWriter, r *http.Request) (any, error) {
	in := inputOf(r)
	c, b := in.call(), in.body()
	if in.err != nil {
		return nil, in.err
	}
	name := r.PathValue("action")
	action, ok := actionOf(name, b)
	if !ok {
		return nil, because(notFound, fmt.Sprintf("There is no action %q%s; a sale has %s.", name, suggest.Remark(name, actions), strings.Join(actions, ", ")))
	}
	if err := b.done(); err != nil {
		return nil, err
	}
	id := h.sale(r.Context(), in)
	if in.err != nil {
		return nil, in.err
	}
	return h.done(w, r, c, id, action)
}

// actions are those of a sale.
var actions = []string{"open", "pause", "resume", "end", "restock", "extend-pay", "void"}

// actionOf reads the action of that name from a body.
func actionOf(name string, b *body) (order.Action, bool) {
	switch name {
	case "restock":
		units := required[int](b, "units")
		if units == 0 && len(b.bad)+len(b.types) == 0 {
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

// done applies an action, and answers with the sale: 202 while Redis does not know it yet.
func (h *Handler) done(w http.ResponseWriter, r *http.Request, c admin.Call, id int64, a order.Action) (any, error) {
	result, err := h.service.Act(r.Context(), c, id, a)
	if err != nil {
		return nil, err
	}
	w.Header().Set("ETag", etag(result.Sale.Version))
	return response{statusOf(result), admin.ViewResult(result)}, nil
}

func statusOf(rs ...admin.Result) int {
	if slices.ContainsFunc(rs, func(r admin.Result) bool { return r.Behind != nil }) {
		return http.StatusAccepted
	}
	return http.StatusOK
}

// moveAll returns the endpoint of an action on all sales.
func (h *Handler) moveAll(name string) endpoint {
	return func(_ http.ResponseWriter, r *http.Request) (any, error) {
		in := inputOf(r)
		c := in.call()
		if in.err != nil {
			return nil, in.err
		}
		outcomes, err := h.service.MoveAll(r.Context(), c, name)
		var done []admin.Result
		for _, o := range outcomes {
			if o.Err != nil {
				err = errors.Join(err, o.Err)
				continue
			}
			done = append(done, o.Result)
		}
		return response{statusOf(done...), listOf(done, admin.ViewResult)}, err
	}
}
