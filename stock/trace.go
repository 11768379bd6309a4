package stock

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"

	"seckill/internal/telemetry"
)

// Trace makes a client's calls spans of the traces that they are part of; other
// calls cost a look into their context. Of a call its name is told, nothing
// that was sent: that names shoppers.
func Trace(rdb redis.UniversalClient) { rdb.AddHook(tracing{}) }

type tracing struct{}

// DialHook is redis.Hook's.
func (tracing) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook is redis.Hook's.
func (tracing) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if !telemetry.Current(ctx).On() {
			return next(ctx, cmd)
		}
		name, script := called(cmd)
		ctx, span := telemetry.Start(ctx, strings.TrimSpace(name+" "+script), telemetry.Client)
		describe(span, name, script)
		err := next(ctx, cmd)
		span.End(failure(err))
		return err
	}
}

// ProcessPipelineHook is redis.Hook's.
func (tracing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if len(cmds) == 0 || !telemetry.Current(ctx).On() {
			return next(ctx, cmds)
		}
		name, script := called(cmds[0])
		ctx, span := telemetry.Start(ctx, strings.TrimSpace("PIPELINE "+name+" "+script), telemetry.Client)
		describe(span, "PIPELINE "+name, script)
		span.Int("db.operation.batch.size", len(cmds))
		err := next(ctx, cmds)
		span.End(failure(err))
		return err
	}
}

func describe(s telemetry.Span, name, script string) {
	s.Text("db.system.name", "redis")
	s.Text("db.operation.name", name)
	if script != "" {
		s.Text("db.stored_procedure.name", script)
	}
}

// called returns what is called: the command, and the script that it runs.
func called(cmd redis.Cmder) (name, script string) {
	name = strings.ToUpper(cmd.Name())
	if args := cmd.Args(); name == "EVALSHA" && len(args) > 1 {
		sha, _ := args[1].(string)
		script = scriptNames[sha]
	}
	return name, script
}

// scriptNames are the scripts by what Redis knows them by.
var scriptNames = map[string]string{
	reserveScript.Hash(): "reserve", urgentScript.Hash(): "urgent", applyScript.Hash(): "apply", dueScript.Hash(): "due",
	addScript.Hash(): "add", loadScript.Hash(): "load", withdrawScript.Hash(): "withdraw",
}

// failure is err, unless it says that there is nothing.
func failure(err error) error {
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}
