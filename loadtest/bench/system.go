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

	"seckill/loadtest/scrape"
	ordermysql "seckill/order/mysql"
	"seckill/stock"
)

// system is the program as in production, on one set of servers, with its own
// database, topics and consumer group: an API that always runs, and a consumer that is
// started and stopped.
type system struct {
	b             *bench
	name, own     string // own names its database, topic and group
	srv           *servers
	env           []string
	db            *sql.DB
	ledger        *stock.Ledger
	api, consumer *process
	url           string
	apiAdmin      string
	consumerAdmin string
}

// newSystem starts the API. Settings are the defaults, except the backlog limit, which
// a measurement with consumers off exceeds, and order events, which have their own row.
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
	b.onClose(s.close)
	s.env = os.Environ()
	for k, v := range srv.env {
		s.env = append(s.env, k+"="+v)
	}
	if b.fast != nil { // all use the same tokens
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
			_, err := scrape.Get(ctx, "http://"+s.apiAdmin+"/readyz")
			return err == nil, nil
		})
	}
	return s, err
}

// run runs a command of the program and returns its output.
func (s *system) run(ctx context.Context, stdin string, args ...string) (string, error) {
	c := exec.CommandContext(ctx, s.b.bin, args...)
	var out, errs strings.Builder
	c.Env, c.Stdin, c.Stdout, c.Stderr = s.env, strings.NewReader(stdin), &out, &errs
	if err := c.Run(); err != nil {
		return out.String(), fmt.Errorf("seckill %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// consume starts or stops the consumer.
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
func (s *system) total(name string) counter {
	return func(ctx context.Context) (float64, error) { return metric(ctx, s.apiAdmin, name) }
}

// idle tells whether the API has no request in progress.
func (s *system) idle(ctx context.Context) (bool, error) {
	n, err := s.total(inflight)(ctx)
	return err == nil && n == 0, err
}

// close stops the processes.
func (s *system) close() error {
	return errors.Join(s.api.stop(), s.consumer.stop(), s.db.Close())
}

// servers are one set that scripts/up started.
type servers struct {
	dir  string
	env  map[string]string
	rdb  *redis.Client
	pids map[string]int
}

// openServers finds the servers of a folder. Their CPU time counts as ours.
func (b *bench) openServers(ctx context.Context, dir string) (*servers, error) {
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
			b.procs.add(pid, name)
			s.pids[name] = pid
		}
	}
	return s, nil
}

func (s *servers) dsn() string { return s.env["SECKILL_MYSQL_DSN"] }

// modes is how durably the servers write, according to themselves.
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
	for name, dsn := range map[string]string{"mysql": s.dsn(), "mysql8": s.env["SECKILL_TEST_MYSQL8_DSN"]} {
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

// withDatabase creates a database on the server of a DSN, and returns its DSN.
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
		return "", fmt.Errorf("create a database: %w", err)
	}
	cfg.DBName = name
	return cfg.FormatDSN(), nil
}
