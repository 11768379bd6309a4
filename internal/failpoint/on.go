//go:build failpoint

package failpoint

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// ErrInjected is what a point returns whose action is `error`.
var ErrInjected = errors.New("failpoint: injected error")

// errSetting stops a process with an invalid setting: a fault that never happens proves
// nothing.
var errSetting = errors.New("failpoint")

// fault is SECKILL_FAILPOINT=point:action[=duration][:n], armed at the n-th
// time (1) that the process reaches the point.
//
//	kill    SIGKILL of the process
//	stop    SIGSTOP of the process, SIGCONT after the duration (40 s)
//	error   for the duration (3 s: longer than a send is tried), Hit returns ErrInjected
//	delay   ten times in a row, Hit takes the duration (2 s)
type fault struct {
	point  string
	action string
	span   time.Duration
	from   int64
	hits   atomic.Int64
	since  atomic.Int64 // when it first acted, in Unix nanoseconds
}

var armed = mustParse(os.Getenv("SECKILL_FAILPOINT"))

func mustParse(setting string) *fault {
	f := &fault{from: 1}
	if setting == "" {
		return f
	}
	parts := strings.Split(setting, ":")
	bad := len(parts) < 2 || len(parts) > 3
	if !bad {
		var span string
		f.point = parts[0]
		f.action, span, _ = strings.Cut(parts[1], "=")
		f.span = map[string]time.Duration{"stop": 40 * time.Second, "delay": 2 * time.Second, "error": 3 * time.Second}[f.action]
		var err, err2 error
		if span != "" {
			f.span, err = time.ParseDuration(span)
		}
		if len(parts) == 3 {
			f.from, err2 = strconv.ParseInt(parts[2], 10, 64)
		}
		bad = err != nil || err2 != nil ||
			!slices.Contains([]string{"kill", "stop", "error", "delay"}, f.action) ||
			!slices.ContainsFunc(Points, func(p Point) bool { return p.Name == f.point })
	}
	if bad {
		panic(fmt.Errorf("%w: SECKILL_FAILPOINT=%q is not point:action[=duration][:n]", errSetting, setting))
	}
	return f
}

// Hit executes the fault that is armed at point. The error is ErrInjected, or that of ctx
// if it ended during a delay.
func Hit(ctx context.Context, point string) error {
	if armed.point != point {
		return nil
	}
	n := armed.hits.Add(1) - armed.from
	if n == 0 {
		armed.since.Store(time.Now().UnixNano())
		fmt.Fprintf(os.Stderr, "failpoint %s: %s\n", point, armed.action)
	}
	once, often := n == 0, n >= 0 && n < 10
	lasting := n >= 0 && time.Since(time.Unix(0, armed.since.Load())) < armed.span
	switch {
	case once && armed.action == "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case once && armed.action == "stop":
		return armed.stop()
	case lasting && armed.action == "error":
		return fmt.Errorf("%w at %s", ErrInjected, point)
	case often && armed.action == "delay":
		select {
		case <-time.After(armed.span):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// stop freezes the whole process; a child wakes it.
func (f *fault) stop() error {
	wake := exec.Command("sh", "-c", fmt.Sprintf("sleep %f; kill -CONT %d", f.span.Seconds(), os.Getpid()))
	if err := wake.Start(); err != nil {
		return err
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGSTOP); err != nil {
		return err
	}
	return wake.Wait()
}
