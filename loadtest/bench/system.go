package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"

	ordermysql "seckill/order/mysql"
	"seckill/stock"
)

// system is the program as it runs in production, on one set of servers, with a
// database, topics and a consumer group of its own: an API that is always
// there, and a consumer that comes and goes.
type system struct {
	b             *bench
	name, own     string // own is that of its database, topic and group
	srv           *servers
	env           []string
	db            *sql.DB
	ledger        *stock.Ledger
	api, consumer *process
	url           string
	apiAdmin      string
	consumerAdmin string
}

// newSystem starts the API. Settings are the defaults, but for the limit of the
// backlog, which a measurement with consumers off is beyond, and for the order
// events, which have a row of their own.
func (b *bench) newSystem(ctx context.Context, name string, srv *servers, dsn string, settings ...string) (*system, error) {
	own := fmt.Sprintf("bench_%s_%d", name, time.Now().Unix())
	dsn, err := withDatabase(ctx, dsn, own)
	if err != nil {
		return nil, err
	}
	s := &system{b: b, name: name, own: own, srv: srv, ledger: stock.New(srv.rdb)}
	if s.db, err = ordermysql.OpenDB(dsn, ordermysql.DBOptions{Timeout: -1}); err != nil {
		return nil, err
	}
	s.env = os.Environ()
	for k, v := range srv.env {
		s.env = append(s.env, k+"="+v)
	}
	if b.fast != nil { // one set of tokens for all
		s.env = append(s.env, "SECKILL_JWT_SECRETS="+b.fast.srv.env["SECKILL_JWT_SECRETS"])
	}
	s.env = append(s.env, "SECKILL_MYSQL_DSN="+dsn, "SECKILL_ROCKETMQ_TOPIC="+own,
		"SECKILL_ROCKETMQ_PROBE_TOPIC="+own+"_probe", "SECKILL_ROCKETMQ_GROUP="+own,
		"SECKILL_BACKLOG_LIMIT=1000000000", "SECKILL_LOG_FORMAT=json",
		"SECKILL_EVENTS=false", "SECKILL_ROCKETMQ_EVENT_TOPIC="+own+"_event")
	s.env = append(s.env, settings...)
	if _, err := s.run(ctx, "", "migrate", "up"); err != nil {
		return nil, err
	}
	if s.api, err = b.start(ctx, "api-"+name, s.env, b.bin, "api", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	addr, err := s.api.address(ctx, "api up")
	if err == nil {
		s.url = "http://" + addr
		s.apiAdmin, err = s.api.address(ctx, "admin listener up")
	}
	if err == nil {
		err = until(ctx, startWithin, func() (bool, error) {
			_, err := get(ctx, "http://"+s.apiAdmin+"/readyz")
			return err == nil, nil
		})
	}
	return s, err
}

// run runs a command of the program to its end and returns what it says.
func (s *system) run(ctx context.Context, stdin string, args ...string) (string, error) {
	c := exec.CommandContext(ctx, s.b.bin, args...)
	var out, errs strings.Builder
	c.Env, c.Stdin, c.Stdout, c.Stderr = s.env, strings.NewReader(stdin), &out, &errs
	if err := c.Run(); err != nil {
		return out.String(), fmt.Errorf("seckill %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// consume has a consumer run, or none.
func (s *system) consume(ctx context.Context, on bool) error {
	if on == (s.consumer != nil) {
		return nil
	}
	if !on {
		err := s.consumer.stop()
		s.consumer = nil
		return err
	}
	var err error
	if s.consumer, err = s.b.start(ctx, "consumer-"+s.name, s.env, s.b.bin, "consumer", "--admin-listen", "127.0.0.1:0"); err != nil {
		return err
	}
	s.consumerAdmin, err = s.consumer.address(ctx, "admin listener up")
	return err
}

// total reads a counter of the API.
func (s *system) total(names ...string) counter {
	return func(ctx context.Context) (float64, error) { return metric(ctx, s.apiAdmin, names...) }
}

// idle tells that the API has no request under way.
func (s *system) idle(ctx context.Context) (bool, error) {
	n, err := s.total(inflight)(ctx)
	return err == nil && n == 0, err
}

// close ends the processes.
func (s *system) close() error {
	if s == nil {
		return nil
	}
	return errors.Join(s.api.stop(), s.consumer.stop(), s.db.Close())
}

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
