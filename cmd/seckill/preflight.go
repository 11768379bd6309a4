package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"seckill/admin"
	"seckill/internal/checkup"
	"seckill/order"
)

func newPreflight(p *process) *cobra.Command {
	return &cobra.Command{
		Use: "preflight SALE", Short: "May this sale begin? Exit 0 only when nothing fails", Args: cobra.ExactArgs(1),
		Long: `Check all that a sale needs: what doctor checks; whether the sale is loaded, and every live API knows it;
its window, price and limits; memory in Redis for its orders; connections, files and queues for the processes
that live, and at least two of each role. Every line is ok, warn or FAIL, and says what to do. It changes
nothing. Exit code 0: nothing fails; 5: a server is away; 3: there is no such sale; else 1.`,
		RunE: func(c *cobra.Command, args []string) error {
			id, err := saleArg(args)
			if err != nil {
				return err
			}
			return p.withExaminer(func(e *examiner) error {
				found, err := e.preflight(c.Context(), id)
				if err != nil {
					return err
				}
				if err := p.showFindings(found); err != nil {
					return err
				}
				return verdict(found)
			})
		},
	}
}

// verdict is the exit code of a preflight.
func verdict(found []checkup.Finding) error {
	switch {
	case slices.ContainsFunc(found, func(f checkup.Finding) bool { return f.Down }):
		return &silentError{exitDependency}
	case slices.ContainsFunc(found, failed):
		return &silentError{exitFailure}
	}
	return nil
}

// preflight looks at everything that a sale needs, and says what of it could not
// be looked at. The error is that there is no such sale.
func (e *examiner) preflight(ctx context.Context, id int64) ([]checkup.Finding, error) {
	s, err := e.service.Sale(ctx, id)
	if errors.Is(err, order.ErrNotFound) {
		return nil, ofSale(id, err)
	}
	var found []checkup.Finding
	if err != nil {
		found = append(found, checkup.Unread("sale", err))
	} else {
		found = e.sale(ctx, s)
	}
	found = append(found, e.servers(ctx)...)
	f := e.fleet(ctx)
	found = append(found, f.Check()...)
	found = append(found, f.Roles()...)
	if f.InstancesErr == nil { // else their number is not known
		found = append(found,
			checkup.MySQLPools(ctx, e.backend.db, f.Instances),
			checkup.RedisPools(ctx, e.backend.redis, f.Instances),
			checkup.Queues(ctx, e.orders, f.Consumers()))
	}
	return found, nil
}

// sale looks at the sale in both stores, and for room for its orders.
func (e *examiner) sale(ctx context.Context, s admin.SaleStatus) []checkup.Finding {
	now, left := time.Now(), int64(s.Sale.Available)
	if s.Meta.Err == nil {
		now = s.Meta.Now // it judges the window
	}
	if s.Meta.Loaded {
		left = s.Meta.Available
	}
	return append(checkup.Sale(s.Sale, s.Meta, now), checkup.Headroom(ctx, e.backend.redis, max(0, left)))
}
