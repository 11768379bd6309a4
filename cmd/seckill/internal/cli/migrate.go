package cli

import (
	"context"
	"fmt"
	"time"

	"seckill/cmd/seckill/internal/app"

	"github.com/spf13/cobra"
)

func newMigrate(p *process) *cobra.Command {
	return group("migrate", "Update the schema of the database and create missing topics and consumer groups",
		&cobra.Command{
			Use: "up", Short: "Apply the missing migrations and create missing topics and consumer groups; safe at any time, even several at once", Args: cobra.NoArgs,
			RunE: func(c *cobra.Command, _ []string) error { return p.migrateUp(c.Context()) },
		},
		&cobra.Command{
			Use: "status", Short: "List the migrations and when each was applied", Args: cobra.NoArgs,
			RunE: func(c *cobra.Command, _ []string) error { return p.migrateStatus(c.Context()) },
		},
	)
}

func (p *process) migrateUp(ctx context.Context) error {
	cfg, err := p.settings("mysql_dsn")
	if err != nil {
		return err
	}
	log := p.logger(cfg)
	if err := app.MigrateSchema(ctx, cfg.MySQL, log); err != nil {
		return ofServer("mysql", err)
	}
	fmt.Fprintln(p.stderr, "mysql: the schema is up to date")
	if len(cfg.RocketMQ.NameServers) == 0 {
		fmt.Fprintln(p.stderr, "rocketmq: SECKILL_ROCKETMQ_NAMESERVERS is not set, topics and consumer groups not checked")
		return nil
	}
	if err := app.MakeTopics(ctx, cfg.RocketMQ, log); err != nil {
		return ofServer("rocketmq", err)
	}
	fmt.Fprintln(p.stderr, "rocketmq: the topics and consumer groups exist")
	return nil
}

func (p *process) migrateStatus(ctx context.Context) error {
	cfg, err := p.settings("mysql_dsn")
	if err != nil {
		return err
	}
	ms, err := app.Migrations(ctx, cfg.MySQL)
	if err != nil {
		return ofServer("mysql", err)
	}
	if p.json {
		return writeJSON(p.stdout, ms)
	}
	t := columns(p.stdout)
	for _, m := range ms {
		at := "not applied"
		if m.Applied {
			at = m.AppliedAt.Format(time.RFC3339)
		}
		fmt.Fprintf(t, "%d\t%s\t%s\n", m.Version, m.Name, at)
	}
	return t.Flush()
}
