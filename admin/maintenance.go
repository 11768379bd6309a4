package admin

import (
	"context"
	"errors"
	"fmt"

	"seckill/audit"
	"seckill/catalog"
	"seckill/order"
	"seckill/reconcile"
)

// auditor compares both stores.
type auditor interface {
	Audit(ctx context.Context, saleID int64) ([]audit.SaleAudit, error)
}

// rebuilder loads a sale into Redis again.
type rebuilder interface {
	Rebuild(ctx context.Context, saleID int64) (reconcile.Rebuilt, error)
}

// Audit compares both stores, order by order, for a sale, or for 0 for all sales
// that are not closed. It reads every row: not for a hot path.
func (s *Service) Audit(ctx context.Context, saleID int64) ([]audit.SaleAudit, error) {
	audits, err := s.auditor.Audit(ctx, saleID)
	if err != nil && !errors.Is(err, order.ErrNotFound) {
		err = &UnavailableError{"audit", err}
	}
	return audits, err
}

// Rebuild loads a sale into Redis again from MySQL and notes the call in the audit
// log. The errors are order.ErrNotFound, order.ErrConflict for a
// sale that is not kept in Redis, and *UnavailableError: run it again then.
func (s *Service) Rebuild(ctx context.Context, c Call, saleID int64) (reconcile.Rebuilt, error) {
	_, err := ask(ctx, func(ctx context.Context) (bool, error) {
		sale, err := s.sales.Sale(ctx, saleID)
		if err == nil && !sale.State.Loaded() && sale.State != order.SaleEnded {
			err = fmt.Errorf("%w: sale %d is %s: it is not one that is kept in Redis", order.ErrConflict, saleID, sale.State)
		}
		if err != nil {
			return false, err
		}
		return s.auditLog.Note(ctx, order.AuditEntry{By: c.By, Action: "rebuild", SaleID: saleID, Target: fmt.Sprintf("sale %d", saleID), Command: c.Command})
	})
	if err != nil {
		return reconcile.Rebuilt{}, err
	}
	done, err := s.rebuilder.Rebuild(ctx, saleID)
	if err != nil {
		err = &UnavailableError{"rebuild", err}
	}
	s.log.InfoContext(ctx, "operator", "actor", c.By.Name, "action", "rebuild", "sale_id", saleID, "command", c.Command, "done", err == nil)
	return done, err
}

// Fingerprint is the fingerprint of the sales as both stores have them now: an
// API that has applied the last change reports the same of its snapshots.
func (s *Service) Fingerprint(ctx context.Context) (loaded int, digest string, err error) {
	sales, err := s.Current(ctx)
	if err != nil {
		return 0, "", err
	}
	ms, err := s.ledger.Metas(ctx, order.SaleIDs(sales))
	if err != nil {
		return 0, "", &UnavailableError{"redis", err}
	}
	all := make([]*catalog.Snapshot, len(sales))
	for i, sale := range sales {
		all[i] = catalog.NewSnapshot(sale, ms[i])
	}
	loaded, digest = catalog.Fingerprint(all)
	return loaded, digest, nil
}
