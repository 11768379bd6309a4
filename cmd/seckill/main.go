// Command seckill is the flash-sale order pipeline: its two roles, its
// operators' tools, and a complete system in one process to try it on.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"seckill/cmd/seckill/internal/app"
	"seckill/cmd/seckill/internal/cli"
)

func main() {
	ballast := app.TuneGC()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP) // a terminal that closes must not cut off requests
	context.AfterFunc(ctx, stop)                                                                           // a second signal ends a long drain at once
	code := cli.Run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)
	stop()
	runtime.KeepAlive(ballast)
	os.Exit(code)
}
