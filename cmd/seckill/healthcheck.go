package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newHealthcheck(p *process) *cobra.Command {
	var adminListen string
	c := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the process on the admin address whether it is ready; exit 0 if so",
		Long:  "Ask the process on the admin address whether it is ready; exit 0 if so.\nFor containers that have no shell and no curl.",
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
			_, err = fmt.Fprintln(p.stdout, "ready")
			return err
		},
	}
	c.Flags().StringVar(&adminListen, "admin-listen", "", "address of the process to ask (SECKILL_ADMIN_LISTEN)")
	return c
}
