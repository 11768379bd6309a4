package cli

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"seckill/admin"
	"seckill/cmd/seckill/internal/app"
	"seckill/cmd/seckill/internal/checkup"
	"seckill/fleet"
	"seckill/internal/config"
	"seckill/order"
)

func newDoctor(p *process) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check the servers and the running processes, and say how to repair what fails",
		Long: `Check the servers, their settings and the running processes, and say how to repair what fails. It does with
each server what an order does, and leaves nothing: a reservation is undone, a message goes to the probe topic, a
transaction is rolled back. FAIL must be repaired and makes the exit code 5; warn should be looked at. preflight
checks one sale as well.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.withCheckup(func(check *app.Checkup) error {
				found := append(check.Doctor(c.Context()), checkup.Environment(config.Strangers(p.environ)))
				if err := p.showFindings(found); err != nil {
					return err
				}
				if slices.ContainsFunc(found, failed) {
					return &silentError{exitDependency}
				}
				return nil
			})
		},
	}
}

func failed(f checkup.Finding) bool { return !f.OK }

func newPreflight(p *process) *cobra.Command {
	return &cobra.Command{
		Use: "preflight SALE", Short: "Check everything that a sale needs before it starts", Args: cobra.ExactArgs(1),
		Long: `Check everything that a sale needs before it starts: what doctor checks; that the sale is loaded and every
running API knows it; its window, price and limits; memory in Redis for its orders; connections, files and
queues for the running processes; at least two processes of each role. Every line is ok, warn or FAIL, and
says what to do. It leaves nothing behind. Exit code 0: nothing fails; 5: a server is down; 3: there is no such
sale; 1: anything else.`,
		RunE: func(c *cobra.Command, args []string) error {
			n, err := order.ParseSaleName(args[0])
			if err != nil {
				return &usageError{err}
			}
			return p.withCheckup(func(check *app.Checkup) error {
				id, err := named(n, func() (int64, error) { return check.SaleID(c.Context(), n) })
				if err != nil {
					return err
				}
				found, err := check.Preflight(c.Context(), id)
				if err != nil {
					return ofSale(id, err)
				}
				if err := p.showFindings(found); err != nil {
					return err
				}
				return verdict(found)
			})
		},
	}
}

// verdict returns the error with the exit code of a preflight.
func verdict(found []checkup.Finding) error {
	switch {
	case slices.ContainsFunc(found, func(f checkup.Finding) bool { return f.Down }):
		return &silentError{exitDependency}
	case slices.ContainsFunc(found, failed):
		return &silentError{exitFailure}
	}
	return nil
}

// withCheckup calls fn with a checkup of all servers.
func (p *process) withCheckup(fn func(*app.Checkup) error) error {
	cfg, err := p.settings(servers...)
	if err != nil {
		return err
	}
	cfg.LogLevel, cfg.LogFormat = "error", "text"
	return app.WithCheckup(cfg, p.logger(cfg), instanceLine, fn)
}

// instanceLine describes an instance for people.
func instanceLine(i fleet.Instance) string {
	at := i.AdminListen
	if i.Listen != "" {
		at = i.Listen + ", " + at
	}
	return fmt.Sprintf("%s on %s (PID %d), %s: %s", admin.Printable(i.Version), admin.Printable(i.Host), i.PID, admin.Printable(at), loadLine(i))
}

// showFindings prints findings. It does not set the exit code.
func (p *process) showFindings(found []checkup.Finding) error {
	count := map[checkup.Level]int{}
	for _, f := range found {
		count[f.Level]++
	}
	if p.json {
		return writeJSON(p.stdout, map[string]any{"ok": count[checkup.Fail] == 0, "checks": found})
	}
	marks := map[checkup.Level]string{checkup.OK: "ok  ", checkup.Warn: "warn", checkup.Fail: "FAIL"}
	for _, f := range found {
		fmt.Fprintf(p.stdout, "%s  %-22s %s\n", marks[f.Level], plain(f.Name), plain(f.Detail))
		if f.Advice != "" {
			fmt.Fprintf(p.stdout, "      %-22s -> %s\n", "", plain(f.Advice))
		}
	}
	_, err := fmt.Fprintf(p.stdout, "%d failed, %d warnings, %d ok\n", count[checkup.Fail], count[checkup.Warn], count[checkup.OK])
	return err
}

func newHealthcheck(p *process) *cobra.Command {
	var adminListen string
	c := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the process at the admin address whether it is ready",
		Long:  "Ask the process at the admin address whether it is ready; exit code 0 if it is. For containers without a shell\nand curl.",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := p.settings()
			if err != nil {
				return err
			}
			override(&cfg.AdminListen, adminListen)
			addr := cfg.AdminListen
			if strings.HasPrefix(addr, ":") || strings.HasPrefix(addr, "0.0.0.0:") || strings.HasPrefix(addr, "[::]:") {
				addr = "127.0.0.1" + addr[strings.LastIndex(addr, ":"):]
			}
			req, err := http.NewRequestWithContext(c.Context(), http.MethodGet, "http://"+addr+"/readyz", http.NoBody)
			if err != nil {
				return &usageError{err}
			}
			resp, err := (&http.Client{Timeout: 3 * time.Second}).Do(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
			if err != nil {
				return err
			}
			if resp.StatusCode != http.StatusOK {
				return fmt.Errorf("not ready: %s", strings.TrimSpace(string(body)))
			}
			said := "ready"
			if more := strings.TrimSpace(string(body)); more != "ok" { // why orders fail all the same
				said += ", but " + plain(more)
			}
			_, err = fmt.Fprintln(p.stdout, said)
			return err
		},
	}
	c.Flags().StringVar(&adminListen, "admin-listen", "", "address of the process to ask (SECKILL_ADMIN_LISTEN)")
	return c
}
