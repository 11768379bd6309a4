package memory

import (
	"context"
	"slices"

	"seckill/order"
)

// CreateSale is as in order/mysql.
func (s *Store) CreateSale(ctx context.Context, sale order.Sale) (order.Sale, error) {
	return s.Create(ctx, order.Creation{Sale: sale})
}

// Create is as in order/mysql.
func (s *Store) Create(_ context.Context, c order.Creation) (order.Sale, error) {
	if err := c.Validate(); err != nil {
		return order.Sale{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c.Sale = c.Sale.AsCreated()
	if before, ok := s.commands[c.Command]; ok {
		if err := (order.Command{SaleID: before.SaleID, What: c.What()}).Repeats(c.Command, before); err != nil {
			return order.Sale{}, err
		}
		return s.sale(before.SaleID)
	}
	old := s.sales[c.Sale.ID]
	for _, other := range s.sales {
		if c.Sale.ExternalID != "" && other.ExternalID == c.Sale.ExternalID {
			old = other
		}
	}
	if old != nil {
		if err := c.Sale.Repeats(*old); err != nil {
			return *old, err
		}
	} else {
		old = &c.Sale
		s.sales[old.ID] = old
		s.note(c.Entry())
	}
	if c.Command != "" {
		s.commands[c.Command] = order.Command{SaleID: old.ID, What: c.What()}
	}
	return *old, nil
}

// SetSaleState is as in order/mysql.
func (s *Store) SetSaleState(ctx context.Context, cmd string, id int64, to order.SaleState) (order.Sale, error) {
	return s.Operate(ctx, order.Operation{Command: cmd, SaleID: id, Action: order.Moving("", to)})
}

// Operate is as in order/mysql.
func (s *Store) Operate(_ context.Context, op order.Operation) (order.Sale, error) {
	if err := order.ValidateCommand(op.Command); err != nil {
		return order.Sale{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sale, err := s.sale(op.SaleID)
	if err != nil {
		return order.Sale{}, err
	}
	c := order.Command{SaleID: op.SaleID, What: op.Action.What}
	if old, ok := s.commands[op.Command]; ok {
		return sale, c.Repeats(op.Command, old)
	}
	before := sale
	effect, err := op.Do(&sale)
	if err == nil {
		err = s.uniqueExternalID(sale)
	}
	if err != nil {
		return before, err
	}
	s.commands[op.Command] = c
	if effect != nil {
		sale.Seq = s.log(order.Change{SaleID: sale.ID, Sale: effect})
		*s.sales[sale.ID] = sale
		s.note(op.Entry(before, sale))
	}
	return sale, nil
}

func (s *Store) uniqueExternalID(sale order.Sale) error {
	for id, other := range s.sales {
		if id != sale.ID && sale.ExternalID != "" && other.ExternalID == sale.ExternalID {
			return sale.ExternalIDTaken()
		}
	}
	return nil
}

// note appends a row to the audit log.
func (s *Store) note(e order.AuditEntry) {
	if e.By.IsZero() {
		return
	}
	e = e.Fitted()
	e.ID, e.At = int64(len(s.audit)+1), now()
	s.audit = append(s.audit, e)
}

// Note is as in order/mysql.
func (s *Store) Note(_ context.Context, e order.AuditEntry) (bool, error) {
	if err := order.ValidateCommand(e.Command); err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := order.Command{SaleID: e.SaleID, What: e.Action}
	if old, ok := s.commands[e.Command]; ok {
		return false, c.Repeats(e.Command, old)
	}
	s.commands[e.Command] = c
	s.note(e)
	return true, nil
}

// AuditLog is as in order/mysql.
func (s *Store) AuditLog(_ context.Context, q order.AuditQuery) ([]order.AuditEntry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []order.AuditEntry
	for _, e := range slices.Backward(s.audit) {
		if (q.SaleID == 0 || e.SaleID == q.SaleID) && (q.Actor == "" || e.By.Name == q.Actor) && (q.Before == 0 || e.ID < q.Before) && len(found) < q.Limit {
			found = append(found, e)
		}
	}
	return found, nil
}
