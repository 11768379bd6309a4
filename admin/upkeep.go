package admin

import (
	"context"
	"errors"
	"fmt"

	"seckill/audit"
	"seckill/order"
	"seckill/reconcile"
)

// letters are the dead ones.
type letters interface {
	DeadLetters(ctx context.Context, saleID int64, limit int) ([]order.DeadLetter, error)
	DeadLettersNamed(ctx context.Context, name string) ([]order.DeadLetter, error)
	DiscardAs(ctx context.Context, by order.Operator, cmd string, d order.DeadLetter) error
}

// auditor compares both stores.
type auditor interface {
	Audit(ctx context.Context, saleID int64) ([]audit.SaleAudit, error)
}

// rebuilder loads a sale into Redis anew.
type rebuilder interface {
	Rebuild(ctx context.Context, saleID int64) (reconcile.Rebuilt, error)
}

// DeadLetters returns those of a sale, or of all for 0, newest first.
func (s *Service) DeadLetters(ctx context.Context, saleID int64, limit int) ([]order.DeadLetter, error) {
	return ask(ctx, func(ctx context.Context) ([]order.DeadLetter, error) {
		return s.Letters.DeadLetters(ctx, saleID, limit)
	})
}

// Letter returns the dead letters of a message ID and, where it is the decimal
// ID of an order, the verdicts on that. The error is order.ErrNotFound.
func (s *Service) Letter(ctx context.Context, name string) ([]order.DeadLetter, error) {
	return ask(ctx, func(ctx context.Context) ([]order.DeadLetter, error) {
		found, err := s.Letters.DeadLettersNamed(ctx, name)
		if err == nil && len(found) == 0 {
			err = fmt.Errorf("dead letter %q: %w", name, order.ErrNotFound)
		}
		return found, err
	})
}

// Discard deletes the messages of that ID that could not be read, and returns
// how many. Where there is but a verdict, which stays, it is order.ErrConflict.
func (s *Service) Discard(ctx context.Context, c Call, name string) (int, error) {
	found, err := s.Letter(ctx, name)
	if err != nil {
		return 0, err
	}
	discarded := 0
	for _, d := range found {
		if d.IsVerdict() {
			continue
		}
		_, err := ask(ctx, func(ctx context.Context) (int, error) { return 0, s.Letters.DiscardAs(ctx, c.By, c.Command, d) })
		if err != nil && !errors.Is(err, order.ErrNotFound) { // somebody else was quicker
			return discarded, err
		}
		discarded++
	}
	if discarded == 0 {
		return 0, fmt.Errorf("%w: the dead letter is the verdict on order %d (%s): polls and the sweeper read it, it stays", order.ErrConflict, found[0].OrderID, found[0].Reason)
	}
	return discarded, nil
}

// Audit compares both stores, order by order; of all sales that are not closed
// for 0. It reads every row: not for a hot path.
func (s *Service) Audit(ctx context.Context, saleID int64) ([]audit.SaleAudit, error) {
	audits, err := s.Auditor.Audit(ctx, saleID)
	if err != nil && !errors.Is(err, order.ErrNotFound) {
		err = &UnavailableError{"audit", err}
	}
	return audits, err
}

// Rebuild loads a sale into Redis anew from MySQL, and notes in the audit log
// that it was told to. The errors are order.ErrNotFound, order.ErrConflict for a
// sale that is not kept in Redis, and *UnavailableError: run it again then.
func (s *Service) Rebuild(ctx context.Context, c Call, saleID int64) (reconcile.Rebuilt, error) {
	_, err := ask(ctx, func(ctx context.Context) (bool, error) {
		sale, err := s.Sales.Sale(ctx, saleID)
		if err == nil && !sale.State.Loaded() && sale.State != order.SaleEnded {
			err = fmt.Errorf("%w: sale %d is %s: it is not one that is kept in Redis", order.ErrConflict, saleID, sale.State)
		}
		if err != nil {
			return false, err
		}
		return s.AuditLog.Note(ctx, order.AuditEntry{By: c.By, Action: "rebuild", SaleID: saleID, Target: fmt.Sprintf("sale %d", saleID), Command: c.Command})
	})
	if err != nil {
		return reconcile.Rebuilt{}, err
	}
	done, err := s.Rebuilder.Rebuild(ctx, saleID)
	if err != nil {
		err = &UnavailableError{"rebuild", err}
	}
	s.Log.InfoContext(ctx, "operator", "actor", c.By.Name, "action", "rebuild", "sale_id", saleID, "command", c.Command, "done", err == nil)
	return done, err
}
