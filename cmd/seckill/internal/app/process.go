// Package app puts the roles of a process together: it opens the servers, makes
// the API, the consumer or both on them, and runs each beside its admin listener.
// Its errors are plain; SettingError marks those that a setting causes.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"seckill/fleet"
	"seckill/internal/config"
)

// version is set by the build: -ldflags "-X seckill/cmd/seckill/internal/app.version=1.2.3".
var version = "dev"

// BuildVersion is what this program was built from.
type BuildVersion struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go"`
}

// ThisBuild returns the version of this program.
func ThisBuild() BuildVersion {
	v := BuildVersion{Version: version, Go: runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.Commit = s.Value
			}
		}
	}
	return v
}

const (
	// ballastSize counts as live but is never touched, so that it takes no memory:
	// the heap is collected at 48 MB and twice what is live, instead of many times
	// a second because next to nothing is live. Left to Go's default, collecting
	// took 12 % of the API's CPU (scripts/bench --rows accepted_256 --cpuprofile).
	ballastSize = 48 << 20
	// limitedPercent applies where GOMEMLIMIT is set, which would count the ballast.
	limitedPercent = 400
)

// TuneGC sets the pace of garbage collection, unless GOGC does. The caller must
// keep the result alive.
func TuneGC() (ballast []byte) {
	if _, set := os.LookupEnv("GOGC"); set {
		return nil
	}
	if _, set := os.LookupEnv("GOMEMLIMIT"); set {
		debug.SetGCPercent(limitedPercent)
		return nil
	}
	return make([]byte, ballastSize)
}

// SettingError is the error of a setting that is wrong, or does not fit another.
type SettingError struct{ Err error }

func (e *SettingError) Error() string { return e.Err.Error() }
func (e *SettingError) Unwrap() error { return e.Err }

func badSetting(name string, err error) error {
	return &SettingError{fmt.Errorf("%s: %w", name, err)}
}

// askTimeout bounds one call to a server outside of an order's way.
const askTimeout = 5 * time.Second

// role is a role of a process: the API or the consumer.
type role interface {
	health
	limited
	// run works until ctx is done.
	run(ctx context.Context) error
}

// runRole opens the servers, makes a role with them, and runs it beside its admin
// listener until ctx is done.
func runRole(ctx context.Context, cfg config.Config, name string, log *slog.Logger, newRole func(*backend, *prometheus.Registry) (role, error)) error {
	b, err := openTraced(ctx, cfg, "seckill-"+name, log)
	if err != nil {
		return err
	}
	defer b.close()
	reg := newRegistry(cfg, b)
	r, err := newRole(b, reg)
	if err != nil {
		return err
	}
	operators, err := newAdminAPI(cfg, b, reg, log)
	if err != nil {
		return err
	}
	adminAt, err := listenAdmin(ctx, cfg.AdminListen)
	if err != nil {
		return err
	}
	handler := adminHandler(cfg.AdminListen, reg, r, operators)
	return serve(ctx, log, r.run,
		func(ctx context.Context) error { return serveAdmin(ctx, adminAt, handler, log) },
		newMember(cfg, b, name, r, adminAt.Addr(), reg, log).Run)
}

// RunAPI serves shoppers until ctx is done.
func RunAPI(ctx context.Context, cfg config.Config, log *slog.Logger) error {
	return runRole(ctx, cfg, fleet.RoleAPI, log, func(b *backend, reg *prometheus.Registry) (role, error) { //nolint:contextcheck // what it makes ends in the role's order, not with ctx
		return newAPIRole(cfg, b, reg, log)
	})
}

// RunConsumer settles orders until ctx is done.
func RunConsumer(ctx context.Context, cfg config.Config, log *slog.Logger) error {
	if err := cfg.CheckConsumer(); err != nil {
		return &SettingError{err}
	}
	return runRole(ctx, cfg, fleet.RoleConsumer, log, func(b *backend, reg *prometheus.Registry) (role, error) {
		return newConsumerRole(cfg, b, reg, log)
	})
}

// serve runs the parts of a process until ctx is done or one of them fails. The
// first one is the role itself; the others end after it.
func serve(ctx context.Context, log *slog.Logger, first func(context.Context) error, others ...func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rest, stopRest := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRest()
	var g errgroup.Group
	for _, other := range others {
		g.Go(func() error { defer cancel(); return other(rest) })
	}
	err := first(ctx)
	stopRest()
	err = errors.Join(err, g.Wait())
	log.InfoContext(ctx, "stopped")
	return err
}

func ignoreCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
