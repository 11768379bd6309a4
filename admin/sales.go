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

// Create makes a sale, scheduled; its ID is set here. One that was made before,
// by this command or under its external ID, is returned as it is.
func (s *Service) Create(ctx context.Context, c Call, sale order.Sale) (Result, error) {
	made, err := ask(ctx, func(ctx context.Context) (order.Sale, error) {
		worker, err := s.Operations.NextNodeID(ctx)
		if err != nil {
			return sale, err
		}
		id, err := order.NewIDMaker(worker).Next()
		if err != nil {
			return sale, err
		}
		sale.ID = int64(id) // made like an order's: no sale ever has another one's keys in Redis
		return s.Operations.Create(ctx, order.Creation{Command: c.Command, By: c.By, Sale: sale})
	})
	if err != nil {
		return Result{Sale: made}, err
	}
	return s.done(ctx, c, "create", made), nil
}

// Act does an action to a sale. The errors are those of order.Store.Operate,
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
		return s.Operations.Operate(ctx, order.Operation{Command: c.Command, By: c.By, SaleID: saleID, IfVersion: c.IfVersion, Action: a})
	})
}

// PauseAll pauses every sale that is open, each in a transaction of its own, and
// returns those that it paused. One that is not open any more when its turn
// comes is passed over. One that could not be paused is part of the error, and
// keeps none of the others from it. It goes on when the operator has gone, and
// Redis is told when all are paused: one that hangs keeps no sale selling.
func (s *Service) PauseAll(ctx context.Context, c Call) ([]Result, error) {
	pausing, cancel := afterwards(ctx)
	defer cancel()
	all, err := ask(pausing, s.Sales.Sales)
	if err != nil {
		return nil, err
	}
	pause, _ := Moves("pause")
	var paused []Result
	var errs []error
	for _, sale := range all {
		if sale.State != order.SaleOpen {
			continue
		}
		is, err := s.operate(pausing, ofAll(c, sale), sale.ID, pause)
		switch {
		case errors.Is(err, order.ErrConflict): // ended meanwhile
		case err != nil:
			errs = append(errs, fmt.Errorf("pause sale %d: %w", sale.ID, err))
		default:
			paused = append(paused, Result{Sale: is})
		}
	}
	telling, cancel := afterwards(ctx) // as long for all as for one
	defer cancel()
	for i, p := range paused {
		paused[i] = s.tell(telling, ofAll(c, p.Sale), pause.Name, p.Sale)
	}
	return paused, errors.Join(errs...)
}

// ofAll is the part of a command on all sales that one of them gets.
func ofAll(c Call, sale order.Sale) Call {
	return Call{By: c.By, Command: CommandID(c.Command, strconv.FormatInt(sale.ID, 10))}
}

// SaleStatus is a sale in both stores.
type SaleStatus struct {
	Sale order.Sale
	// Meta is what Redis says of it; its Err is set when that cannot be asked.
	Meta stock.Meta
}

// Sale returns a sale. Redis being away is no error: see Meta.
func (s *Service) Sale(ctx context.Context, id int64) (SaleStatus, error) {
	sale, err := ask(ctx, func(ctx context.Context) (order.Sale, error) { return s.Sales.Sale(ctx, id) })
	if err != nil {
		return SaleStatus{}, err
	}
	ms, err := s.Ledger.Metas(ctx, []int64{id})
	if len(ms) != 1 {
		return SaleStatus{Sale: sale, Meta: stock.Meta{Err: err}}, nil
	}
	return SaleStatus{Sale: sale, Meta: ms[0]}, nil
}

// Current returns the sales that are not closed, newest first.
func (s *Service) Current(ctx context.Context) ([]order.Sale, error) {
	return ask(ctx, s.Sales.Sales)
}

// List returns sales of every state, newest first: those before an ID, or from
// the newest for 0.
func (s *Service) List(ctx context.Context, before int64, limit int) ([]order.Sale, error) {
	return ask(ctx, func(ctx context.Context) ([]order.Sale, error) { return s.Sales.SalesBefore(ctx, before, limit) })
}

// History returns rows of the audit log, newest first.
func (s *Service) History(ctx context.Context, q order.AuditQuery) ([]order.AuditEntry, error) {
	return ask(ctx, func(ctx context.Context) ([]order.AuditEntry, error) { return s.AuditLog.AuditLog(ctx, q) })
}
