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

// setUpOnce is global because the client's settings are.
var setUpOnce sync.Once

// setUpClient sets the client's global settings: the logger, and the handler of a panic
// in one of its goroutines, which would otherwise end the process. The logger of the
// first constructor stays.
func setUpClient(log *slog.Logger) {
	setUpOnce.Do(func() {
		log := log.With("source", "rocketmq-client")
		rlog.SetLogger(clientLog{log})
		primitive.PanicHandler = func(v any) { log.Error("panic in the client", "panic", fmt.Sprint(v)) }
	})
}

// instanceName returns a name that no other client has, in any process: the broker
// distinguishes consumers by it, and host addresses may be missing or equal.
func instanceName() string { return fmt.Sprintf("seckill-%d-%s", os.Getpid(), rand.Text()) }

// clientLog forwards the client's log, one level lower, because the client logs normal
// events as warnings. It drops fields with messages: formatting them races with the
// client's writes and can end the process.
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
