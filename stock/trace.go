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

// called returns what is called: the command, and the script that it runs.
func called(cmd redis.Cmder) (name, script string) {
	name = strings.ToUpper(cmd.Name())
	if args := cmd.Args(); name == "EVALSHA" && len(args) > 1 {
		sha, _ := args[1].(string)
		script = scriptNames[sha]
	}
	return name, script
}

// pipelined is called for a pipeline, where all of it is the same.
func pipelined(cmds []redis.Cmder) (name, script string) {
	name, script = called(cmds[0])
	for _, cmd := range cmds[1:] {
		if n, s := called(cmd); n != name || s != script {
			return "PIPELINE", ""
		}
	}
	return "PIPELINE " + name, script
}

// scriptNames are the scripts by what Redis knows them by.
var scriptNames = map[string]string{
	reserveScript.Hash(): "reserve", urgentScript.Hash(): "urgent", applyScript.Hash(): "apply", dueScript.Hash(): "due",
	addScript.Hash(): "add", loadScript.Hash(): "load", withdrawScript.Hash(): "withdraw", metaScript.Hash(): "meta",
}

// end ends the span of a call. That there is nothing is no failure; what Redis
// refuses, it says in its first word.
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
