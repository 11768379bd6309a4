package cli

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"seckill/admin"
	"seckill/cmd/seckill/internal/app"
	"seckill/internal/config"
	"seckill/internal/telemetry"
)

func newConfig(p *process) *cobra.Command {
	var list bool
	c := &cobra.Command{
		Use:   "config",
		Short: "Show the value of every setting, secrets redacted",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			values, err := config.Values(p.environ, p.configFile)
			if err != nil {
				return &usageError{err}
			}
			switch {
			case p.json:
				err = writeJSON(p.stdout, values)
			case list:
				err = writeSettings(p.stdout)
			default:
				err = writeValues(p.stdout, values)
			}
			if err != nil {
				return err
			}
			if _, err := config.Load(p.environ, p.configFile); err != nil {
				return &usageError{fmt.Errorf("bad settings:\n%w", err)}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&list, "list", false, "list the settings with their defaults, as a table in Markdown")
	return c
}

func writeValues(w io.Writer, values map[string]string) error {
	t := columns(w)
	for _, s := range config.Settings() {
		fmt.Fprintf(t, "%s\t%s\n", s.Env(), values[s.Key])
	}
	return t.Flush()
}

// writeSettings prints the table of docs/settings.md.
func writeSettings(w io.Writer) error {
	mark := map[bool]string{true: "yes"}
	live := (config.Config{}).Limits()
	fmt.Fprintln(w, "| setting | default | secret | live | meaning |\n|---|---|---|---|---|")
	for _, s := range config.Settings() {
		def := ""
		if s.Default != "" {
			def = "`" + s.Default + "`"
		}
		_, isLive := live[s.Key]
		if _, err := fmt.Fprintf(w, "| `%s` | %s | %s | %s | %s |\n", s.Env(), def, mark[s.Secret], mark[isLive], s.Help); err != nil {
			return err
		}
	}
	return nil
}

func newVersion(p *process) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := app.ThisBuild()
			if p.json {
				return writeJSON(p.stdout, v)
			}
			_, err := fmt.Fprintln(p.stdout, "seckill", v.Version, v.Commit, v.Go)
			return err
		},
	}
}

// settings loads the settings. It is an error if one of those in need, by key, is
// not set; of a|b one must be. The error names all that are missing.
func (p *process) settings(need ...string) (config.Config, error) {
	cfg, err := config.Load(p.environ, p.configFile)
	if err != nil {
		return cfg, &usageError{fmt.Errorf("bad settings:\n%w", err)}
	}
	values, err := config.Values(p.environ, p.configFile)
	if err != nil {
		return cfg, &usageError{err}
	}
	var missing []string
	for _, keys := range need {
		var names []string
		var help string
		isSet := false
		for _, s := range config.Settings() {
			if slices.Contains(strings.Split(keys, "|"), s.Key) {
				names = append(names, s.Env())
				help = cmp.Or(help, s.Help)
				isSet = isSet || values[s.Key] != ""
			}
		}
		if !isSet {
			missing = append(missing, strings.Join(names, " or ")+": "+help)
		}
	}
	if missing != nil {
		return cfg, &usageError{fmt.Errorf("not set (`. .run/env` after scripts/up sets what a test system needs; `seckill dev` needs no settings):\n%s",
			strings.Join(missing, "\n"))}
	}
	return cfg, nil
}

// roleSettings is settings for a process that stays: its log says which variables it
// ignores.
func (p *process) roleSettings(need ...string) (config.Config, *slog.Logger, error) {
	cfg, err := p.settings(need...)
	log := p.logger(cfg)
	if names := config.Strangers(p.environ); err == nil && names != nil {
		log.Warn("variables that are no settings are ignored", "names", names)
	}
	return cfg, log, err
}

func (p *process) logger(cfg config.Config) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.LogLevel)) // checked when it was loaded
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: readableDurations}
	var h slog.Handler = slog.NewJSONHandler(p.stderr, opts)
	if cfg.LogFormat == "text" {
		h = slog.NewTextHandler(p.stderr, opts)
	}
	if cfg.Trace.Endpoint != "" {
		h = telemetry.LogHandler(h)
	}
	return slog.New(h)
}

// readableDurations formats durations as 1.5s instead of nanoseconds.
func readableDurations(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

// servers are the settings without which nothing can reach the servers.
var servers = []string{"mysql_dsn", "redis_addrs", "rocketmq_nameservers"}

// withServers calls fn with a service on all servers.
func (p *process) withServers(fn func(*admin.Service) error) error {
	return p.with(app.WithServers, fn, servers...)
}

// withStores calls fn with a service on MySQL and Redis alone.
func (p *process) withStores(fn func(*admin.Service) error) error {
	return p.with(app.WithStores, fn, "mysql_dsn", "redis_addrs")
}

// withMySQL calls fn with a service on MySQL alone.
func (p *process) withMySQL(fn func(*admin.Service) error) error {
	return p.with(app.WithMySQL, fn, "mysql_dsn")
}

func (p *process) with(open func(config.Config, *slog.Logger, func(*admin.Service) error) error, fn func(*admin.Service) error, need ...string) error {
	cfg, err := p.settings(need...)
	if err != nil {
		return err
	}
	cfg.LogLevel, cfg.LogFormat = "warn", "text"
	return open(cfg, p.logger(cfg), fn)
}
