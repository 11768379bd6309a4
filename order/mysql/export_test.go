package mysql

import "context"

// Prepared returns the sizes of the prepared statements for a batch, largest first.
func (s *Store) Prepared(ctx context.Context, batch int) (sizes []int) {
	for _, p := range s.inserts.get(ctx, s, batch) {
		sizes = append(sizes, p.size)
	}
	return sizes
}
