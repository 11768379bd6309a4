package stock

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/redis/go-redis/v9"
)

//go:embed entry.lua
var entrySource string

//go:embed reserve.lua
var reserveSource string

//go:embed urgent.lua
var urgentSource string

//go:embed apply.lua
var applySource string

//go:embed due.lua
var dueSource string

//go:embed add.lua
var addSource string

//go:embed load.lua
var loadSource string

//go:embed withdraw.lua
var withdrawSource string

//go:embed meta.lua
var metaSource string

//go:embed rehearse.lua
var rehearseSource string

var (
	reserveScript  = redis.NewScript(entrySource + reserveSource)
	urgentScript   = redis.NewScript(entrySource + urgentSource)
	applyScript    = redis.NewScript(entrySource + applySource)
	dueScript      = redis.NewScript(entrySource + dueSource)
	addScript      = redis.NewScript(entrySource + addSource)
	loadScript     = redis.NewScript(loadSource)
	metaScript     = redis.NewScript(metaSource)
	withdrawScript = redis.NewScript(withdrawSource)
	rehearseScript = redis.NewScript(rehearseSource)
)

// notLoaded is the reply of a script when the sale has no meta.
const notLoaded = "not_loaded"

// call is one run of a script.
type call struct {
	keys []string
	args []any
}

// callsAtOnce bounds a pipeline; a change holds up to 256 orders.
const callsAtOnce = 64

// runAll runs a script many times in pipelines, in order for each sale. A server
// that does not have the script yet refuses all calls of a sale, or the first
// ones, so repeating those one by one keeps the order.
func (l *Ledger) runAll(ctx context.Context, s *redis.Script, calls []call) []*redis.Cmd {
	cmds := make([]*redis.Cmd, 0, len(calls))
	for len(calls) > 0 {
		part := calls[:min(len(calls), callsAtOnce)]
		calls = calls[len(part):]
		cmds = append(cmds, l.runPart(ctx, s, part)...)
	}
	return cmds
}

func (l *Ledger) runPart(ctx context.Context, s *redis.Script, calls []call) []*redis.Cmd {
	cmds := make([]*redis.Cmd, len(calls))
	if len(calls) == 1 {
		cmds[0] = s.Run(ctx, l.rdb, calls[0].keys, calls[0].args...)
		return cmds
	}
	p := l.rdb.Pipeline()
	for i, c := range calls {
		cmds[i] = s.EvalSha(ctx, p, c.keys, c.args...)
	}
	_, _ = p.Exec(ctx) // each command carries its own error
	for i, c := range calls {
		if redis.HasErrorPrefix(cmds[i].Err(), "NOSCRIPT") {
			cmds[i] = s.Run(ctx, l.rdb, c.keys, c.args...)
		}
	}
	return cmds
}

// reply returns the reply of a script as a list, or ErrNotLoaded.
func reply(cmd *redis.Cmd) ([]any, error) {
	out, err := cmd.Slice()
	if err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: empty", errReply)
	}
	if out[0] == notLoaded {
		return nil, ErrNotLoaded
	}
	return out, nil
}

// text and number read one value of a reply; a wrong type gives "" or 0.
func text(v any) string {
	s, _ := v.(string)
	return s
}

func number(v any) int64 {
	n, _ := v.(int64)
	return n
}
