//go:build e2e

package test

import (
	"cmp"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"seckill/audit"
	ordermysql "seckill/order/mysql"
)

// shop is a whole system: processes of ours on a set of servers, with a
// database, topics and a consumer group of its own.
type shop struct {
	t         *testing.T
	settings  map[string]string
	env       []string // the settings, as processes get them
	db        *sql.DB
	store     *ordermysql.Store // on db
	rdb       *redis.Client
	urls      []string
	apis      []*process
	consumers []*process
}

const (
	operatorSecret = "what operators' tokens are signed with in tests"
	paymentSecret  = "what the payment provider signs with in tests"
)

// newShop starts apis and consumers on the servers that env names.
func newShop(t *testing.T, env map[string]string, apis, consumers int) *shop {
	t.Helper()
	name := fmt.Sprintf("e2e_%d", time.Now().UnixNano())
	db := ownDatabase(t, env, name)
	s := &shop{t: t, db: db, store: ordermysql.NewStore(db, slog.New(slog.DiscardHandler)), rdb: redis.NewClient(&redis.Options{Addr: env["SECKILL_REDIS_ADDRS"]})}
	t.Cleanup(func() { _ = s.rdb.Close() })
	s.settings = map[string]string{
		"SECKILL_ROCKETMQ_TOPIC": name, "SECKILL_ROCKETMQ_GROUP": name, "SECKILL_ROCKETMQ_PROBE_TOPIC": name + "_probe",
		"SECKILL_ROCKETMQ_EVENT_TOPIC": name + "_event",
		"SECKILL_PAGES":                "true",
		"SECKILL_SHOPPER_RPS":          "0", // the crowd is one process: some shoppers retry hard
		"SECKILL_LOG_FORMAT":           "text",

		"SECKILL_PAYMENT_SECRETS":   paymentSecret,
		"SECKILL_ADMIN_JWT_SECRETS": operatorSecret,
	}
	maps.Copy(s.settings, env)
	for k, v := range s.settings {
		s.env = append(s.env, k+"="+v)
	}
	_, code := command(t, s.env, "", "migrate", "up")
	require.Zero(t, code, "migrate up")
	for range consumers {
		s.consumers = append(s.consumers, startProcess(t, s.env, "consumer"))
	}
	for range apis {
		addr := freeAddr(t)
		s.apis = append(s.apis, startProcess(t, s.env, "api", "--listen", addr))
		s.urls = append(s.urls, "http://"+addr)
	}
	return s
}

func (s *shop) setting(name string) string {
	s.t.Helper()
	require.NotEmpty(s.t, s.settings[name], name)
	return s.settings[name]
}

// sharedServers are those that scripts/up started for everyone: not to be hurt.
func sharedServers(t *testing.T) map[string]string { return readEnv(t, "../.run/env") }

// readEnv reads the file that scripts/up writes.
func readEnv(t *testing.T, path string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err, "no servers: run scripts/up --both")
	env := map[string]string{"PATH": os.Getenv("PATH"), "HOME": os.Getenv("HOME")}
	for line := range strings.Lines(string(text)) {
		if kv, ok := strings.CutPrefix(strings.TrimSpace(line), "export "); ok {
			k, v, _ := strings.Cut(kv, "=")
			env[k] = strings.Trim(v, "'")
		}
	}
	return env
}

// ownDatabase makes a database and points env at it.
func ownDatabase(t *testing.T, env map[string]string, name string) *sql.DB {
	t.Helper()
	cfg, err := mysql.ParseDSN(env["SECKILL_MYSQL_DSN"])
	require.NoError(t, err)
	cfg.DBName = ""
	admin, err := ordermysql.OpenDB(cfg.FormatDSN(), ordermysql.DBOptions{})
	require.NoError(t, err)
	defer admin.Close()
	name = "seckill_test_" + name
	_, err = admin.Exec("CREATE DATABASE " + name)
	require.NoError(t, err)
	cfg.DBName = name
	env["SECKILL_MYSQL_DSN"] = cfg.FormatDSN()
	db, err := ordermysql.OpenDB(env["SECKILL_MYSQL_DSN"], ordermysql.DBOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		_, _ = db.Exec("DROP DATABASE " + name)
		_ = db.Close()
	})
	return db
}

// saleTerms are what a test cares about; the rest is filled in.
type saleTerms struct {
	stock, perShopper, units int
	starts, ends             time.Duration // from now
	payWithin                time.Duration // 10 minutes for 0
	attempts                 int           // any number for 0
	permit                   bool
	claim                    string
}

// sale makes a sale and opens it.
func (s *shop) sale(terms saleTerms) string {
	s.t.Helper()
	terms.perShopper = max(terms.perShopper, 1)
	terms.units = max(terms.units, 1)
	if terms.ends == 0 {
		terms.ends = time.Hour
	}
	now := time.Now()
	fields := map[string]any{
		"title": "e2e", "price_minor": 9900, "currency": "CNY", "stock": terms.stock,
		"orders_per_shopper": terms.perShopper, "units_per_order": terms.units,
		"pay_within":     cmp.Or(terms.payWithin, 10*time.Minute).String(),
		"require_permit": terms.permit, "require_claim": terms.claim,
		"starts_at": now.Add(terms.starts - time.Second), "ends_at": now.Add(terms.ends),
	}
	if binary != os.Getenv("SECKILL_FAULTS_OLD") { // which may not know it
		fields["attempts_per_shopper"] = terms.attempts
	}
	file, err := json.Marshal(fields)
	require.NoError(s.t, err)
	out, code := command(s.t, s.env, string(file), "sale", "create", "-f", "-", "--allow-unusual", "--json")
	require.Zero(s.t, code, out)
	var made struct {
		ID string `json:"id"`
	}
	require.NoError(s.t, json.Unmarshal([]byte(out), &made))
	s.steer("open", made.ID)
	return made.ID
}

// steer is `sale open|pause|resume|end`; it waits until every API knows.
func (s *shop) steer(word, sale string) {
	s.t.Helper()
	args := []string{"sale", word, sale}
	if word == "end" {
		args = append(args, "--yes") // nobody is there to be asked
	}
	out, code := command(s.t, s.env, "", args...)
	require.Zero(s.t, code, out)
	time.Sleep(300 * time.Millisecond)
}

// tokens are those of shoppers first, first+1, …
func (s *shop) tokens(first, n int) []string {
	s.t.Helper()
	out, code := command(s.t, s.env, "", "token", "--shoppers", strconv.Itoa(n), "--first", strconv.Itoa(first))
	require.Zero(s.t, code)
	ts := strings.Fields(out)
	require.Len(s.t, ts, n)
	return ts
}

// auditReport is `seckill audit --json`.
type auditReport struct {
	OK    bool              `json:"ok"`
	Sales []audit.SaleAudit `json:"sales"`
}

func (s *shop) audit(sale string) auditReport {
	s.t.Helper()
	out, _ := command(s.t, s.env, "", "audit", sale, "--json")
	var r auditReport
	require.NoError(s.t, json.Unmarshal([]byte(out), &r), out)
	require.Len(s.t, r.Sales, 1)
	return r
}
