package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"seckill/internal/config"
	"seckill/order/mysql"
	"seckill/queue/rocketmq"
)

// migrateTimeout bounds one migration; those on large tables are documented
// with how to run them online.
const migrateTimeout = 10 * time.Minute

func newMigrate(p *process) *cobra.Command {
	c := &cobra.Command{
		Use: "migrate", Short: "Bring the database's schema and the broker's topics up to date", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(
		&cobra.Command{
			Use: "up", Short: "Run what is missing; safe to run at any time, by several at once", Args: cobra.NoArgs,
			RunE: func(c *cobra.Command, _ []string) error { return p.migrateUp(c.Context()) },
		},
		&cobra.Command{
			Use: "status", Short: "List the migrations", Args: cobra.NoArgs,
			RunE: func(c *cobra.Command, _ []string) error { return p.migrateStatus(c.Context()) },
		},
	)
	return c
}

func (p *process) migrateUp(ctx context.Context) error {
	cfg, err := p.settings("mysql_dsn")
	if err != nil {
		return err
	}
	log := p.logger(cfg)
	ctx, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()
	cfg.MySQL.NoTimeout = true // an ALTER of a large table takes as long as it takes
	err = withDB(cfg.MySQL, func(db *sql.DB) error { return mysql.Migrate(ctx, db, log) })
	if err != nil {
		return err
	}
	fmt.Fprintln(p.stderr, "mysql: the schema is up to date")
	if len(cfg.RocketMQ.NameServers) == 0 {
		fmt.Fprintln(p.stderr, "rocketmq: SECKILL_ROCKETMQ_NAMESERVERS is not set, topics left alone")
		return nil
	}
	for _, opts := range []rocketmq.Options{rocketOptions(cfg.RocketMQ, log), eventOptions(cfg.RocketMQ, log)} {
		admin, err := rocketmq.NewAdmin(opts)
		if err != nil {
			return &usageError{err}
		}
		err = admin.EnsureTopics(ctx, cfg.RocketMQ.Queues) // it bounds itself
		admin.Close()
		if err != nil {
			return &dependencyError{"rocketmq", err}
		}
	}
	fmt.Fprintln(p.stderr, "rocketmq: the topics are there")
	return nil
}

func (p *process) migrateStatus(ctx context.Context) error {
	cfg, err := p.settings("mysql_dsn")
	if err != nil {
		return err
	}
	return withDB(cfg.MySQL, func(db *sql.DB) error {
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		ms, err := mysql.MigrationStatus(ctx, db)
		if err != nil {
			return err
		}
		if p.json {
			return writeJSON(p.stdout, ms)
		}
		t := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
		for _, m := range ms {
			at := "not applied"
			if m.Applied {
				at = m.AppliedAt.Format(time.RFC3339)
			}
			fmt.Fprintf(t, "%d\t%s\t%s\n", m.Version, m.Name, at)
		}
		return t.Flush()
	})
}

func withDB(c config.MySQL, fn func(*sql.DB) error) error {
	db, err := openDB(c)
	if err != nil {
		return err
	}
	if err := fn(db); err != nil {
		err = &dependencyError{"mysql", err}
		return errors.Join(err, db.Close())
	}
	return db.Close()
}
