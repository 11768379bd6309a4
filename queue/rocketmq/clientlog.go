package rocketmq

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"

	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

// setUpOnce is global because the client's own settings are.
var setUpOnce sync.Once

// setUpClient sets what the client keeps for the whole process: the logger and
// what to do with a panic of one of its goroutines, which otherwise ends the
// process. The first constructor's logger stays.
func setUpClient(log *slog.Logger) {
	setUpOnce.Do(func() {
		log := log.With("source", "rocketmq-client")
		rlog.SetLogger(clientLog{log})
		primitive.PanicHandler = func(v any) { log.Error("panic in the client", "panic", fmt.Sprint(v)) }
	})
}

// instanceName returns a name that no other client has, in this process or any
// other: the broker tells consumers apart by it, and addresses of hosts may be
// missing or the same.
func instanceName() string { return fmt.Sprintf("seckill-%d-%s", os.Getpid(), rand.Text()) }

// clientLog passes the client's log on, one level lower: what it calls a
// warning is its daily life. Fields that hold messages are dropped: formatting
// them races with the client's own writes and can end the process.
type clientLog struct{ log *slog.Logger }

func (l clientLog) Debug(string, map[string]any) {}
func (l clientLog) Info(string, map[string]any)  {}
func (l clientLog) Warning(msg string, fields map[string]any) {
	l.write(slog.LevelInfo, msg, fields)
}
func (l clientLog) Error(msg string, fields map[string]any) { l.write(slog.LevelWarn, msg, fields) }
func (l clientLog) Fatal(msg string, fields map[string]any) { l.write(slog.LevelError, msg, fields) }
func (l clientLog) Level(string)                            {}
func (l clientLog) OutputPath(string) error                 { return nil }

func (l clientLog) write(level slog.Level, msg string, fields map[string]any) {
	ctx := context.Background()
	if !l.log.Enabled(ctx, level) {
		return
	}
	var attrs []slog.Attr
	for name, v := range fields {
		if slices.Contains([]string{rlog.LogKeyMessages, "message"}, name) {
			continue
		}
		attrs = append(attrs, slog.String(name, fmt.Sprint(v)))
	}
	l.log.LogAttrs(ctx, level, msg, attrs...) //nolint:sloglint // the client's text
}
