package audit

import (
	"context"
)

// Step checks every sale once.
func (b *Background) Step(ctx context.Context) error { return b.step(ctx, ctx) }

// Wait waits for the scans that Step started.
func (b *Background) Wait() { b.wg.Wait() }
