package memory

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"seckill/order"
)

// CountDeadLetters is as in order/mysql.
func (s *Store) CountDeadLetters(context.Context) (n order.DeadLetterCount, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.deadLetters {
		if d.IsVerdict() {
			n.Verdicts++
		} else {
			n.Messages++
		}
	}
	return n, nil
}

// DeadLettersNamed is as in order/mysql.
func (s *Store) DeadLettersNamed(_ context.Context, name string) ([]order.DeadLetter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, err := order.ParseID(name)
	if err != nil {
		id = 0
	}
	var found []order.DeadLetter
	for _, d := range s.deadLetters {
		if d.MessageID == name && name != "" && (d.OrderID == 0 || d.OrderID == id) || d.IsVerdict() && d.OrderID == id {
			found = append(found, d)
		}
	}
	slices.SortFunc(found, func(a, b order.DeadLetter) int {
		return cmp.Or(cmp.Compare(a.OrderID, b.OrderID), cmp.Compare(a.SaleID, b.SaleID), cmp.Compare(a.ShopperID, b.ShopperID), cmp.Compare(a.MessageID, b.MessageID))
	})
	return found[:min(len(found), order.MaxDeadLetters)], nil
}

// DiscardAs is as in order/mysql.
func (s *Store) DiscardAs(_ context.Context, by order.Operator, cmd string, d order.DeadLetter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := deadLetterKey{d.OrderID, d.SaleID, d.ShopperID, d.MessageID}
	if err := d.CheckDiscard(); err != nil {
		return err
	}
	if _, ok := s.deadLetters[key]; !ok {
		return fmt.Errorf("discard %q: %w", d.MessageID, order.ErrNotFound)
	}
	delete(s.deadLetters, key)
	s.note(order.DiscardEntry(by, cmd, d))
	return nil
}

// deadLetterKey is the primary key of a dead letter.
type deadLetterKey struct {
	order   order.ID
	sale    int64
	shopper string
	message string
}

// AddDeadLetter is as in order/mysql.
func (s *Store) AddDeadLetter(_ context.Context, d order.DeadLetter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !d.IsVerdict() && len(s.deadLetters) >= order.MaxStoredDeadLetters {
		return order.ErrFull
	}
	s.addDeadLetter(d)
	return nil
}

// addDeadLetter reports whether d is new.
func (s *Store) addDeadLetter(d order.DeadLetter) bool {
	d = d.Fitted()
	key := deadLetterKey{d.OrderID, d.SaleID, d.ShopperID, d.MessageID}
	if _, ok := s.deadLetters[key]; ok {
		return false
	}
	d.CreatedAt = now()
	d.Body = slices.Clone(d.Body)
	s.deadLetters[key] = d
	return true
}

// DeadLetters is as in order/mysql.
func (s *Store) DeadLetters(_ context.Context, q order.DeadLetterQuery) ([]order.DeadLetter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	newestFirst := func(a, b order.DeadLetterCursor) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.OrderID, a.OrderID), cmp.Compare(b.SaleID, a.SaleID),
			cmp.Compare(b.ShopperID, a.ShopperID), cmp.Compare(b.MessageID, a.MessageID))
	}
	found := slices.SortedFunc(maps.Values(s.deadLetters), func(a, b order.DeadLetter) int { return newestFirst(a.Cursor(), b.Cursor()) })
	found = slices.DeleteFunc(found, func(d order.DeadLetter) bool {
		return q.SaleID != 0 && d.SaleID != q.SaleID || q.After != (order.DeadLetterCursor{}) && newestFirst(q.After, d.Cursor()) >= 0
	})
	return found[:min(len(found), q.Limit)], nil
}
