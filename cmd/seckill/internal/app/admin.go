package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	adminhttp "seckill/admin/http"
	"seckill/internal/config"
)

// health reports the state of a role.
type health interface {
	ready() error      // nil if it should get work
	degraded() error   // what fails although it should; nil for nothing
	details() []string // a line for each thing it needs, for people
}

// adminHandler serves health checks, metrics and, where operators is not nil,
// their API; profiles only where this machine alone can reach them. /livez
// asks no server: a process whose servers are down is alive, and a restart would
// not help.
func adminHandler(listen string, reg *prometheus.Registry, h health, operators http.Handler) http.Handler {
	mux := http.NewServeMux()
	if operators != nil {
		mux.Handle(adminhttp.Prefix, operators)
	}
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		verdict, err := "ok", h.ready()
		degraded := h.degraded()
		switch {
		case err != nil:
			verdict = err.Error()
		case degraded != nil:
			verdict = "degraded: " + degraded.Error()
		}
		if err != nil || degraded != nil && r.URL.Query().Has("strict") {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		if r.URL.Query().Has("verbose") {
			for _, line := range h.details() {
				fmt.Fprintln(w, line)
			}
		}
		fmt.Fprintln(w, verdict)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	if loopback(listen) {
		for pattern, profile := range map[string]http.HandlerFunc{
			"GET /debug/pprof/": pprof.Index, "GET /debug/pprof/profile": pprof.Profile, "GET /debug/pprof/trace": pprof.Trace,
			"GET /debug/pprof/cmdline": pprof.Cmdline, "GET /debug/pprof/symbol": pprof.Symbol, "POST /debug/pprof/symbol": pprof.Symbol,
		} {
			mux.HandleFunc(pattern, local(profile))
		}
	}
	return mux
}

// local refuses a request under another name than this machine's own: a page of a
// browser here can make its host's name resolve to a loopback address.
func local(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
		if host != "localhost" && (err != nil || !ip.IsLoopback()) {
			http.Error(w, "profiles are only served under localhost or a loopback address", http.StatusForbidden)
			return
		}
		next(w, r)
	}
}

func loopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// listenAdmin listens on the admin address. Several roles on one machine have the
// same default: if that is configured and taken, a free port is used and logged.
func listenAdmin(ctx context.Context, listen string) (net.Listener, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if errors.Is(err, syscall.EADDRINUSE) && listen == config.DefaultAdminListen {
		ln, err = (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, fmt.Errorf("listen for health checks and metrics: %w", err)
	}
	return ln, nil
}

func serveAdmin(ctx context.Context, ln net.Listener, h http.Handler, log *slog.Logger) error {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 2 * time.Second, ReadTimeout: 5 * time.Second, MaxHeaderBytes: 8 << 10}
	log.InfoContext(ctx, "admin listener up", "addr", ln.Addr().String())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	select {
	case err := <-done:
		return fmt.Errorf("health checks and metrics: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := srv.Shutdown(stop); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}
