package stock

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"

	"seckill/internal/telemetry"
)

// Trace records a client's calls as spans of the traces that they are part of.
// Other calls only cost a lookup in their context. A span has the name of the
// call, not its arguments: those contain shopper IDs.
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
		end(span, err)
		return err
	}
}

// ProcessPipelineHook is redis.Hook's.
func (tracing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if len(cmds) == 0 || !telemetry.Current(ctx).On() {
			return next(ctx, cmds)
		}
		name, script := pipelined(cmds)
		ctx, span := telemetry.Start(ctx, strings.TrimSpace(name+" "+script), telemetry.Client)
		describe(span, name, script)
		span.Int("db.operation.batch.size", len(cmds))
		err := next(ctx, cmds)
		end(span, err)
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

// called returns the name of the command, and of the script that it runs.
func called(cmd redis.Cmder) (name, script string) {
	name = strings.ToUpper(cmd.Name())
	if args := cmd.Args(); name == "EVALSHA" && len(args) > 1 {
		sha, _ := args[1].(string)
		script = scriptNames[sha]
	}
	return name, script
}

// pipelined is called for a pipeline whose commands are all the same.
func pipelined(cmds []redis.Cmder) (name, script string) {
	name, script = called(cmds[0])
	for _, cmd := range cmds[1:] {
		if n, s := called(cmd); n != name || s != script {
			return "PIPELINE", ""
		}
	}
	return "PIPELINE " + name, script
}

// scriptNames are the names of the scripts by their SHA-1.
var scriptNames = map[string]string{
	reserveScript.Hash(): "reserve", urgentScript.Hash(): "urgent", applyScript.Hash(): "apply", dueScript.Hash(): "due",
	addScript.Hash(): "add", loadScript.Hash(): "load", withdrawScript.Hash(): "withdraw", metaScript.Hash(): "meta",
}

// end ends the span of a call. A missing key is no failure. The first word of an
// error of Redis is its code.
func end(s telemetry.Span, err error) {
	if errors.Is(err, redis.Nil) {
		err = nil
	}
	if refused, ok := errors.AsType[redis.Error](err); ok {
		code, _, _ := strings.Cut(refused.Error(), " ")
		s.Text("db.response.status_code", code)
	}
	s.End(err)
}
