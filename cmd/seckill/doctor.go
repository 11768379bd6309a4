package main

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"seckill/internal/config"
	"seckill/internal/rocketmq"
	"seckill/order"
)

// finding is what the doctor says of one thing.
type finding struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	Advice string `json:"advice,omitempty"`
}

func newDoctor(p *process) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check the servers and their settings; say what to do about each that fails",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := p.settings(servers...)
			if err != nil {
				return err
			}
			cfg.LogLevel = "error"
			var found []finding
			found = append(found, p.checkMySQL(c.Context(), cfg.MySQL)...)
			found = append(found, p.checkRedis(c.Context(), cfg.Redis)...)
			found = append(found, p.checkRocketMQ(c.Context(), cfg)...)
			found = append(found, p.checkFleet(c.Context())...)
			return p.showFindings(found)
		},
	}
}

func (p *process) showFindings(found []finding) error {
	ok := true
	for _, f := range found {
		ok = ok && f.OK
	}
	if p.json {
		if err := writeJSON(p.stdout, map[string]any{"ok": ok, "checks": found}); err != nil {
			return err
		}
	} else {
		for _, f := range found {
			mark := "ok  "
			if !f.OK {
				mark = "FAIL"
			}
			fmt.Fprintf(p.stdout, "%s  %-22s %s\n", mark, f.Name, f.Detail)
			if f.Advice != "" {
				fmt.Fprintf(p.stdout, "      %-22s -> %s\n", "", f.Advice)
			}
		}
	}
	if !ok {
		return &silentError{exitDependency}
	}
	return nil
}

// check runs one question and words its answer.
func check(ctx context.Context, name, advice string, ask func(context.Context) (string, error)) finding {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	detail, err := ask(ctx)
	if err != nil {
		return finding{Name: name, Detail: err.Error(), Advice: advice}
	}
	return finding{Name: name, OK: true, Detail: detail}
}

func (p *process) checkMySQL(ctx context.Context, c config.MySQL) []finding {
	db, err := openDB(c)
	if err != nil {
		return []finding{{Name: "mysql", Detail: err.Error(), Advice: "correct SECKILL_MYSQL_DSN: user:password@tcp(host:3306)/database"}}
	}
	defer db.Close()
	up := check(ctx, "mysql", "is the server up, and does the user of SECKILL_MYSQL_DSN have its database? scripts/up starts one", func(ctx context.Context) (v string, err error) {
		return v, db.QueryRowContext(ctx, `SELECT VERSION()`).Scan(&v)
	})
	if !up.OK {
		return []finding{up}
	}
	return []finding{
		up,
		check(ctx, "mysql schema", "run `seckill migrate up`", func(ctx context.Context) (string, error) { return schemaVersion(ctx, db) }),
		check(ctx, "mysql durability", "set innodb_flush_log_at_trx_commit=1: with less, a crash of the server may forget orders that shoppers were told of", func(ctx context.Context) (string, error) {
			var n int
			if err := db.QueryRowContext(ctx, `SELECT @@GLOBAL.innodb_flush_log_at_trx_commit`).Scan(&n); err != nil {
				return "", err
			}
			if n != 1 {
				return "", fmt.Errorf("innodb_flush_log_at_trx_commit is %d", n)
			}
			return "innodb_flush_log_at_trx_commit is 1", nil
		}),
		check(ctx, "mysql binary log", "set sync_binlog=1: with less, a crash of the server may leave a replica without orders that shoppers were told of", func(ctx context.Context) (string, error) {
			var on bool
			var n int
			if err := db.QueryRowContext(ctx, `SELECT @@GLOBAL.log_bin, @@GLOBAL.sync_binlog`).Scan(&on, &n); err != nil {
				return "", err
			}
			if !on {
				return "off: there is nothing to fail over to", nil
			}
			if n != 1 {
				return "", fmt.Errorf("sync_binlog is %d", n)
			}
			return "on, sync_binlog is 1", nil
		}),
	}
}

func schemaVersion(ctx context.Context, db *sql.DB) (string, error) {
	ms, err := order.MigrationStatus(ctx, db)
	if err != nil {
		return "", err
	}
	for _, m := range ms {
		if !m.Applied {
			return "", fmt.Errorf("%s is not applied", m.Name)
		}
	}
	return fmt.Sprintf("%d migrations applied", len(ms)), nil
}

func (p *process) checkRedis(ctx context.Context, c config.Redis) []finding {
	rdb, err := openRedis(c)
	if err != nil {
		return []finding{{Name: "redis", Detail: err.Error()}}
	}
	defer rdb.Close()
	up := check(ctx, "redis", "is the server up, are SECKILL_REDIS_ADDRS, user and password right? scripts/up starts one", func(ctx context.Context) (string, error) {
		info, err := rdb.Info(ctx, "server").Result()
		if err != nil {
			return "", err
		}
		return "version " + infoField(info, "redis_version"), nil
	})
	if !up.OK {
		return []finding{up}
	}
	return []finding{
		up,
		check(ctx, "redis eviction", evictionAdvice, func(ctx context.Context) (string, error) {
			return redisSetting(ctx, rdb, "maxmemory-policy", "noeviction")
		}),
	}
}

func redisSetting(ctx context.Context, rdb redis.UniversalClient, name, want string) (string, error) {
	info, err := rdb.Info(ctx, "memory").Result() // CONFIG is often forbidden
	if err != nil {
		return "", err
	}
	got := infoField(info, strings.ReplaceAll(name, "-", "_"))
	if got != want {
		return "", fmt.Errorf("%s is %q", name, got)
	}
	return name + " is " + got, nil
}

func infoField(info, field string) string {
	for line := range strings.SplitSeq(info, "\r\n") {
		if v, ok := strings.CutPrefix(line, field+":"); ok {
			return v
		}
	}
	return ""
}

func (p *process) checkRocketMQ(ctx context.Context, cfg config.Config) []finding {
	admin, err := rocketmq.NewAdmin(rocketOptions(cfg.RocketMQ, p.logger(cfg)))
	if err != nil {
		return []finding{{Name: "rocketmq", Detail: err.Error(), Advice: "correct SECKILL_ROCKETMQ_*"}}
	}
	defer admin.Close()
	up := check(ctx, "rocketmq", "are name server and broker up, and does the broker advertise an address (brokerIP1) that is reachable from here? scripts/up starts them", func(ctx context.Context) (string, error) {
		return "name server and broker answer", admin.Ping(ctx)
	})
	if !up.OK {
		return []finding{up}
	}
	return []finding{up, check(ctx, "rocketmq topics", "run `seckill migrate up`", func(ctx context.Context) (string, error) {
		if err := admin.Topics(ctx); err != nil {
			return "", err
		}
		lag, err := admin.Lag(ctx)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%d orders waiting in %s", lag, cfg.RocketMQ.Topic), nil
	}), check(ctx, "rocketmq event topic", "run `seckill migrate up`; until then order events wait in MySQL", func(ctx context.Context) (string, error) {
		return p.eventTopic(ctx, cfg)
	})}
}

func (p *process) eventTopic(ctx context.Context, cfg config.Config) (string, error) {
	if !cfg.Consumer.Events {
		return "not wanted: SECKILL_EVENTS is false", nil
	}
	events, err := rocketmq.NewAdmin(eventOptions(cfg.RocketMQ, p.logger(cfg)))
	if err != nil {
		return "", err
	}
	defer events.Close()
	return cfg.RocketMQ.EventTopic + " is there", events.Topics(ctx)
}
