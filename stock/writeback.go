package stock

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"seckill/order"
)

// writeBackTimeout bounds how long a slow Redis delays an answer that is final.
const writeBackTimeout = time.Second

type applier interface {
	Apply(ctx context.Context, cs []order.Change) error
}

// WriteBack applies verdicts to Redis that this process has just committed;
// those that it only read (Seq 0) have no change.
func WriteBack(ctx context.Context, ledger applier, log *slog.Logger, vs ...order.Verdict) {
	WriteBackChanges(ctx, ledger, log, order.Changes(vs))
}

// WriteBackChanges applies changes to Redis that this process has just committed. It
// takes a second at most and does not end with ctx. A failure is logged: the tail
// applies the changes within seconds.
func WriteBackChanges(ctx context.Context, ledger applier, log *slog.Logger, cs []order.Change) {
	if len(cs) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeBackTimeout)
	defer cancel()
	if err := ledger.Apply(ctx, cs); err != nil && !errors.Is(err, ErrNotLoaded) {
		log.WarnContext(ctx, "changes left to the tail", "changes", len(cs), "err", err)
	}
}
