package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"
)

// servers are one set of scripts/up: its settings, by name, and its Redis.
type servers struct {
	dir  string
	env  map[string]string
	rdb  *redis.Client
	pids map[string]int
}

// openServers finds the servers of a folder, whose processes count as ours.
func (b *bench) openServers(ctx context.Context, dir, suffix string) (*servers, error) {
	text, err := os.ReadFile(filepath.Join(dir, "env"))
	if err != nil {
		return nil, fmt.Errorf("the servers are not up (scripts/bench starts them): %w", err)
	}
	s := &servers{dir: dir, env: map[string]string{}, pids: map[string]int{}}
	for line := range strings.SplitSeq(string(text), "\n") {
		if name, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "="); ok {
			s.env[name] = strings.Trim(value, "'")
		}
	}
	s.rdb = redis.NewClient(&redis.Options{Addr: s.env["SECKILL_REDIS_ADDRS"]})
	if err := s.rdb.Ping(ctx).Err(); err != nil {
		return nil, fmt.Errorf("redis of %s: %w", dir, err)
	}
	for _, name := range []string{"redis", "mariadb", "namesrv", "broker", "mysql8"} {
		text, err := os.ReadFile(filepath.Join(dir, name+".pid"))
		if err != nil {
			continue // not every set has every server
		}
		if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			b.procs.add(pid, name+suffix)
			s.pids[name] = pid
		}
	}
	return s, nil
}

// modes is how carefully the servers write, as they say themselves.
func (s *servers) modes(ctx context.Context) (map[string]string, error) {
	modes := map[string]string{}
	for _, name := range []string{"appendonly", "appendfsync"} {
		kv, err := s.rdb.ConfigGet(ctx, name).Result()
		if err != nil {
			return nil, fmt.Errorf("redis: %w", err)
		}
		modes["redis_"+name] = kv[name]
	}
	conf, err := os.ReadFile(filepath.Join(s.dir, "broker.conf"))
	if err != nil {
		return nil, err
	}
	for line := range strings.SplitSeq(string(conf), "\n") {
		if v, ok := strings.CutPrefix(line, "flushDiskType="); ok {
			modes["rocketmq_flush"] = v
		}
	}
	for name, dsn := range map[string]string{"mysql": s.env["SECKILL_MYSQL_DSN"], "mysql8": s.env["SECKILL_TEST_MYSQL8_DSN"]} {
		if dsn == "" {
			continue
		}
		if err := mysqlModes(ctx, name, dsn, modes); err != nil {
			return nil, err
		}
	}
	return modes, nil
}

func mysqlModes(ctx context.Context, name, dsn string, modes map[string]string) error {
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	var version, flush, binlog, sync string
	err = db.QueryRowContext(ctx, `SELECT @@version, @@innodb_flush_log_at_trx_commit, @@log_bin, @@sync_binlog`).Scan(&version, &flush, &binlog, &sync)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	modes[name+"_version"] = version
	modes[name+"_flush_log"] = flush
	modes[name+"_binlog"] = binlog
	modes[name+"_sync_binlog"] = sync
	return nil
}

// withDatabase makes a database of its own on the server of a DSN.
func withDatabase(ctx context.Context, dsn, name string) (string, error) {
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		return "", err
	}
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		return "", err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if _, err := db.ExecContext(ctx, "CREATE DATABASE "+name+" CHARACTER SET utf8mb4"); err != nil {
		return "", fmt.Errorf("make a database: %w", err)
	}
	cfg.DBName = name
	return cfg.FormatDSN(), nil
}
