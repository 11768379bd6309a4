package admin

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"seckill/order"
	"seckill/stock"
)

// Moves are the actions that take a sale to another state, by name.
func Moves(name string) (order.Action, bool) {
	to, ok := map[string]order.SaleState{
		"open": order.SaleOpen, "pause": order.SalePaused, "resume": order.SaleOpen, "end": order.SaleEnded,
	}[name]
	return order.Moving(name, to), ok
}

// Create creates a sale, scheduled; its ID is set here. If the command or the
// external ID has created it before, that sale is returned unchanged.
func (s *Service) Create(ctx context.Context, c Call, sale order.Sale) (Result, error) {
	made, err := ask(ctx, func(ctx context.Context) (order.Sale, error) {
		node, err := s.operations.NextNodeID(ctx)
		if err != nil {
			return sale, err
		}
		id, err := order.NewIDMaker(node).Next()
		if err != nil {
			return sale, err
		}
		sale.ID = int64(id) // made like an order's, so that no two sales ever share keys in Redis
		return s.operations.Create(ctx, order.Creation{Command: c.Command, By: c.By, Sale: sale})
	})
	if err != nil {
		return Result{Sale: made}, err
	}
	return s.done(ctx, c, "create", made), nil
}

// Act applies an action to a sale. The errors are those of order.Store.Operate,
// and *UnavailableError.
func (s *Service) Act(ctx context.Context, c Call, saleID int64, a order.Action) (Result, error) {
	sale, err := s.operate(ctx, c, saleID, a)
	if err != nil {
		return Result{Sale: sale}, err
	}
	return s.done(ctx, c, a.Name, sale), nil
}

func (s *Service) operate(ctx context.Context, c Call, saleID int64, a order.Action) (order.Sale, error) {
	return ask(ctx, func(ctx context.Context) (order.Sale, error) {
		return s.operations.Operate(ctx, order.Operation{Command: c.Command, By: c.By, SaleID: saleID, IfVersion: c.IfVersion, Action: a})
	})
}

// Outcome is what an action on all sales did to one of them.
type Outcome struct {
	Result

	Err error // why it was not done; then Result has the sale as it was read
}

// MoveAll pauses every open sale, or resumes every paused one, each in its own
// transaction; an error stops none of the others. It skips a sale that was moved
// meanwhile, and continues after the operator disconnects. Redis is updated once all
// are done in MySQL, so that a slow Redis keeps no sale open.
func (s *Service) MoveAll(ctx context.Context, c Call, name string) ([]Outcome, error) {
	from, known := map[string]order.SaleState{"pause": order.SaleOpen, "resume": order.SalePaused}[name]
	if !known {
		return nil, fmt.Errorf("%w: no action %q on all sales", order.ErrInvalid, name)
	}
	move, _ := Moves(name)
	moving, cancel := afterwards(ctx)
	defer cancel()
	all, err := ask(moving, s.sales.Sales)
	if err != nil {
		return nil, err
	}
	var done []Outcome
	for _, sale := range all {
		if sale.State != from {
			continue
		}
		is, err := s.operate(moving, ofAll(c, sale), sale.ID, move)
		if errors.Is(err, order.ErrConflict) { // moved meanwhile
			continue
		}
		if err != nil {
			is, err = sale, fmt.Errorf("%s sale %d: %w", name, sale.ID, err)
		}
		done = append(done, Outcome{Result: Result{Sale: is}, Err: err})
	}
	updating, cancel := afterwards(ctx) // one timeout for all
	defer cancel()
	for i, o := range done {
		if o.Err == nil {
			done[i].Result = s.tell(updating, ofAll(c, o.Sale), name, o.Sale)
		}
	}
	return done, nil
}

// ofAll is the command on one sale within a command on all.
func ofAll(c Call, sale order.Sale) Call {
	return Call{By: c.By, Command: CommandID(c.Command, strconv.FormatInt(sale.ID, 10))}
}

// SaleStatus is a sale in both stores.
type SaleStatus struct {
	Sale order.Sale
	// Meta is its state in Redis; its Err is set if Redis did not answer.
	Meta stock.Meta
}

// Sale returns a sale. An unavailable Redis is not an error, see Meta.
func (s *Service) Sale(ctx context.Context, id int64) (SaleStatus, error) {
	sale, err := ask(ctx, func(ctx context.Context) (order.Sale, error) { return s.sales.Sale(ctx, id) })
	if err != nil {
		return SaleStatus{}, err
	}
	ms, err := s.ledger.Metas(ctx, []int64{id})
	if len(ms) != 1 {
		return SaleStatus{Sale: sale, Meta: stock.Meta{Err: err}}, nil
	}
	return SaleStatus{Sale: sale, Meta: ms[0]}, nil
}

// SaleID returns the ID of the sale of that name. If MySQL is down, an ID is taken as
// it is: what is done with it needs MySQL too, or can do without. The errors are
// order.ErrNotFound, order.ErrConflict for a number that names two sales, and
// *UnavailableError.
func (s *Service) SaleID(ctx context.Context, n order.SaleName) (int64, error) {
	found, err := ask(ctx, func(ctx context.Context) ([]order.Sale, error) { return s.names.SalesNamed(ctx, n) })
	if _, down := errors.AsType[*UnavailableError](err); down && n.ID != 0 {
		return n.ID, nil
	}
	if err != nil {
		return 0, err
	}
	sale, err := n.Pick(found)
	return sale.ID, err
}

// SaleFilter is SaleID for what is only looked for: an ID that no sale has is taken as
// it is, since a dead letter may name such a sale.
func (s *Service) SaleFilter(ctx context.Context, n order.SaleName) (int64, error) {
	id, err := s.SaleID(ctx, n)
	if errors.Is(err, order.ErrNotFound) && n.ID != 0 {
		return n.ID, nil
	}
	return id, err
}

// Current returns the sales that are not closed, newest first.
func (s *Service) Current(ctx context.Context) ([]order.Sale, error) {
	return ask(ctx, s.sales.Sales)
}

// List returns sales of every state, newest first: those before an ID, or from
// the newest for 0.
func (s *Service) List(ctx context.Context, before int64, limit int) ([]order.Sale, error) {
	return ask(ctx, func(ctx context.Context) ([]order.Sale, error) { return s.sales.SalesBefore(ctx, before, limit) })
}

// SaleView is the JSON of a sale, in the HTTP API and on the command line.
type SaleView struct {
	ID                 string     `json:"id"`
	ExternalID         string     `json:"external_id,omitempty"`
	Title              string     `json:"title"`
	SKU                string     `json:"sku"`
	PriceMinor         int64      `json:"price_minor"`
	Currency           string     `json:"currency"`
	Price              string     `json:"price"` // as people write it: ¥99.00
	State              string     `json:"state"`
	StartsAt           string     `json:"starts_at"`
	EndsAt             string     `json:"ends_at"`
	OrdersPerShopper   int        `json:"orders_per_shopper"`
	UnitsPerOrder      int        `json:"units_per_order"`
	AttemptsPerShopper int        `json:"attempts_per_shopper"` // 0: any number
	RequirePermit      bool       `json:"require_permit,omitempty"`
	RequireClaim       string     `json:"require_claim,omitempty"`
	Total              int        `json:"total"`
	Available          int        `json:"available"`
	PayWithin          string     `json:"pay_within"`
	Voided             bool       `json:"voided,omitempty"`
	Version            uint64     `json:"version"`
	Seq                uint64     `json:"seq"`
	InForce            *bool      `json:"in_force,omitempty"` // of a change: false while Redis does not know it yet
	Redis              *RedisView `json:"redis,omitempty"`
}

// RedisView is the JSON of a sale's state in Redis.
type RedisView struct {
	Loaded    bool   `json:"loaded"`
	State     string `json:"state,omitempty"`
	Total     int64  `json:"total"`
	Available int64  `json:"available"`
	Pending   int64  `json:"pending"`
	Settled   int64  `json:"settled"`
	Applied   uint64 `json:"applied"` // the last change that it knows: the sale's seq, or it is behind
	Epoch     uint64 `json:"epoch"`
	Error     string `json:"error,omitempty"`
}

// ViewSale returns the JSON of s.
func ViewSale(s order.Sale) SaleView {
	return SaleView{
		ID: strconv.FormatInt(s.ID, 10), ExternalID: s.ExternalID, Title: s.Title, SKU: s.SKU,
		PriceMinor: s.PriceMinor, Currency: s.Currency, Price: order.Money(s.PriceMinor, s.Currency), State: string(s.State),
		StartsAt: timestamp(s.StartsAt), EndsAt: timestamp(s.EndsAt),
		OrdersPerShopper: s.OrdersPerShopper, UnitsPerOrder: s.UnitsPerOrder, AttemptsPerShopper: s.AttemptsPerShopper,
		RequirePermit: s.RequirePermit, RequireClaim: s.RequireClaim,
		Total: s.Total, Available: s.Available, PayWithin: s.PayWithin.String(), Voided: s.Voided, Version: s.Version, Seq: s.Seq,
	}
}

// ViewStatus returns the JSON of a sale with its state in Redis.
func ViewStatus(s SaleStatus) SaleView {
	v := ViewSale(s.Sale)
	v.Redis = viewMeta(s.Meta)
	return v
}

func viewMeta(m stock.Meta) *RedisView {
	v := &RedisView{
		Loaded: m.Loaded, State: string(m.State), Total: m.Total, Available: m.Available,
		Pending: m.Pending, Settled: m.Settled, Applied: m.Applied, Epoch: m.Epoch,
	}
	if m.Err != nil {
		v.Error = "redis cannot be asked"
	}
	return v
}

// ViewResult is a sale after an action.
func ViewResult(r Result) SaleView {
	v := ViewSale(r.Sale)
	inForce := r.Behind == nil
	v.InForce = &inForce
	return v
}
