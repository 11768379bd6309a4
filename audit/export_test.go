package audit

import (
	"context"
)

// Step is one look at every sale.
func (p *Background) Step(ctx context.Context) error { return p.step(ctx, ctx) }

// Wait waits for the passes that Step began.
func (p *Background) Wait() { p.wg.Wait() }
