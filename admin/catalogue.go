package admin

import (
	"context"

	"seckill/catalog"
)

// Catalogue is stock.Digest of what both stores have now: every API that has
// heard of the last change says the same of its copy.
func (s *Service) Catalogue(ctx context.Context) (loaded int, digest string, err error) {
	sales, err := s.Current(ctx)
	if err != nil {
		return 0, "", err
	}
	ids := make([]int64, len(sales))
	for i, sale := range sales {
		ids[i] = sale.ID
	}
	ms, err := s.Ledger.Metas(ctx, ids)
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
