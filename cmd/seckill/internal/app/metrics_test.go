package app

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/require"

	"seckill/catalog"
	"seckill/fleet"
	"seckill/internal/testenv"
	"seckill/order/memory"
	"seckill/stock"
)

// exposed is what a scrape of the registry gets.
func exposed(t *testing.T, reg *prometheus.Registry) string {
	t.Helper()
	rec := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	require.Equal(t, http.StatusOK, rec.Code, rec.Body.String())
	return rec.Body.String()
}

// runningRoles are both roles on in-memory servers, wired as in production, each with a
// registry of its own.
type runningRoles struct {
	url, token, sale string
	api              *APIRole
	registries       map[string]*prometheus.Registry // by role
}

func startRoles(t *testing.T) *runningRoles {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	cfg, err := DevConfig()
	require.NoError(t, err)
	cfg.API.ChallengeURL, cfg.API.ChallengeKey = "https://captcha.invalid/siteverify", "secret"
	cfg.Listen = "127.0.0.1:0"
	cfg.MySQL.DSN = "nobody@tcp(127.0.0.1:1)/nowhere" // an unused pool
	cfg.Redis.Addrs = []string{miniredis.RunT(t).Addr()}
	rdb, err := openRedis(cfg.Redis)
	require.NoError(t, err)
	db, err := openDB(cfg.MySQL)
	require.NoError(t, err)
	store := memory.NewStore()
	b := &backend{redis: rdb, db: db, store: store, operators: store, queue: newMemoryQueue()}
	sale, err := sampleSale(t.Context(), cfg, b, log)
	require.NoError(t, err)
	tokens, err := devTokens(cfg, sale)
	require.NoError(t, err)
	s := &runningRoles{token: tokens.Token, sale: tokens.SaleID, registries: map[string]*prometheus.Registry{}}
	for _, role := range []string{"api", "consumer"} {
		s.registries[role] = newRegistry(cfg, b)
	}
	consumer, err := newConsumerRole(cfg, b, s.registries["consumer"], log)
	require.NoError(t, err)
	s.api, err = newAPIRole(cfg, b, s.registries["api"], log)
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = rdb.Close(), db.Close() })
	for _, role := range []string{"api", "consumer"} {
		_, err = newAdminAPI(cfg, b, s.registries[role], log)
		require.NoError(t, err)
	}
	adminAt := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8081}
	addr := make(chan net.Addr, 1)
	s.api.up = func(a net.Addr) { addr <- a }
	for _, run := range []func(context.Context) error{
		newMember(cfg, b, fleet.RoleAPI, s.api, adminAt, s.registries["api"], log).Run,
		newMember(cfg, b, fleet.RoleConsumer, consumer, adminAt, s.registries["consumer"], log).Run,
		s.api.run, consumer.run,
	} {
		testenv.Start(t, run)
	}
	s.url = "http://" + (<-addr).String()
	require.True(t, s.api.await(t.Context()))
	return s
}

// buy makes a purchase and waits for its result.
func (s *runningRoles) buy(t *testing.T) {
	t.Helper()
	status, header, _ := testenv.Send(t, http.MethodPost, s.url+"/v1/sales/"+s.sale+"/orders", "", "Authorization", "Bearer "+s.token)
	require.Equal(t, http.StatusAccepted, status)
	status, _, _ = testenv.Send(t, http.MethodGet, s.url+header.Get("Location")+"?wait=5s", "", "Authorization", "Bearer "+s.token)
	require.Equal(t, http.StatusOK, status)
}

// rows are our metrics as docs/metrics.md lists them, with the roles that export each.
func (s *runningRoles) rows(t *testing.T) (rows []string) {
	t.Helper()
	type metric struct{ kind, labels, roles, help string }
	all := map[string]metric{}
	for _, role := range []string{"api", "consumer"} {
		fs, err := s.registries[role].Gather()
		require.NoError(t, err)
		for _, f := range fs {
			if !strings.HasPrefix(f.GetName(), "seckill_") {
				continue
			}
			var labels []string
			for _, l := range f.GetMetric()[0].GetLabel() {
				labels = append(labels, "`"+l.GetName()+"`")
			}
			m := metric{strings.ToLower(f.GetType().String()), strings.Join(labels, ", "), role, f.GetHelp()}
			if before, both := all[f.GetName()]; both {
				m.roles = before.roles + ", " + role
				require.Equal(t, before.help, m.help, f.GetName())
			}
			all[f.GetName()] = m
		}
	}
	for name, m := range all {
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s | %s |\n", name, m.kind, m.labels, m.roles, m.help))
	}
	slices.Sort(rows)
	return rows
}

func without(all, some []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s == "" || slices.Contains(some, s) })
}

func TestTheTableOfMetricsIsWhatBothRolesExport(t *testing.T) {
	t.Parallel()
	s := startRoles(t)
	s.buy(t)
	_, table, _ := strings.Cut(document(t, "docs/metrics.md"), "|---|---|---|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	want := s.rows(t)
	have := strings.SplitAfter(table+"\n", "\n")
	missing, surplus := without(want, have), without(have, want)
	require.Empty(t, missing, "docs/metrics.md lacks:\n%s", strings.Join(missing, ""))
	require.Empty(t, surplus, "docs/metrics.md has, but nothing exports:\n%s", strings.Join(surplus, ""))
}

func TestMetricsHaveHelpAndBaseUnits(t *testing.T) {
	t.Parallel()
	s := startRoles(t)
	s.buy(t)
	for role, reg := range s.registries {
		fs, err := reg.Gather()
		require.NoError(t, err)
		problems, err := promlint.NewWithMetricFamilies(fs).Lint()
		require.NoError(t, err)
		require.Empty(t, problems, role)
		for _, f := range fs {
			require.NotContains(t, f.GetHelp(), "|", "the table of docs/metrics.md has it in a cell")
		}
	}
}

// The names that operators rely on; there are more.
const contract = `http_requests_total{code,route} http_request_duration_seconds{route} http_inflight_requests
	orders_accepted_total orders_refused_total{reason}
	stock_available_units{sale} stock_pending_units{sale} order_oldest_pending_seconds{sale}
	publish_duration_seconds{result} publish_batch_size backlog_orders
	consume_delay_seconds redeliveries_total consumer_workers{state}
	settle_batch_size settle_duration_seconds{result} orders_settled_total{result} dead_letters{kind}
	time_to_result_seconds{result}
	oversold_units audit_discrepancies{kind} audit_last_success_timestamp_seconds
	breaker_state{name} limits_generation instances{role} build_info{commit,go,version}`

func TestTheContractsMetricsAreExported(t *testing.T) {
	t.Parallel()
	s := startRoles(t)
	s.buy(t)
	exported := map[string]string{} // labels by name
	for _, row := range s.rows(t) {
		cells := strings.Split(row, " | ")
		exported[strings.Trim(cells[0], "| `")] = strings.NewReplacer("`", "", ", ", ",").Replace(cells[2])
	}
	for m := range strings.FieldsSeq(contract) {
		name, labels, _ := strings.Cut(strings.TrimSuffix(m, "}"), "{")
		got, ok := exported["seckill_"+name]
		require.True(t, ok, name)
		require.Equal(t, labels, got, name)
	}
	for role, reg := range s.registries {
		for _, name := range []string{"go_goroutines", "process_cpu_seconds_total", "go_sql_open_connections", "seckill_redis_pool_connections"} {
			require.Contains(t, exposed(t, reg), "\n"+name, role)
		}
	}
}

// value is one sample of a scrape; "" for none.
func value(text, series string) string {
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func TestMetricsFollowASale(t *testing.T) {
	t.Parallel()
	s := startRoles(t)
	stockLeft := `seckill_stock_available_units{sale="` + s.sale + `"}`
	s.buy(t)
	var text string
	require.Eventually(t, func() bool { // the snapshot is read each second, and when there is a result
		text = exposed(t, s.registries["api"])
		return value(text, stockLeft) == "99" && value(text, `seckill_stock_pending_units{sale="`+s.sale+`"}`) == "0"
	}, 5*time.Second, 10*time.Millisecond)
	require.Equal(t, "1", value(text, "seckill_orders_accepted_total"))
	require.Equal(t, "1", value(text, `seckill_reserve_duration_seconds_count{result="ok"}`))
	require.NotEqual(t, "0", value(text, `seckill_dependency_duration_seconds_count{name="redis",result="ok"}`))
	require.Equal(t, "1", value(exposed(t, s.registries["consumer"]), `seckill_orders_settled_total{result="confirmed"}`))
	require.Eventually(t, func() bool {
		return value(exposed(t, s.registries["consumer"]), `seckill_events_published_total{status="confirmed"}`) == "1"
	}, 5*time.Second, 10*time.Millisecond)
	for role, reg := range s.registries {
		for _, personal := range []string{"shopper=", "order=", `"42"`} {
			require.NotContains(t, exposed(t, reg), personal, role)
		}
	}
}

func TestASaleThatIsNotLoadedHasNoSeries(t *testing.T) {
	t.Parallel()
	copies := []*catalog.Snapshot{{Meta: stock.Meta{Loaded: true, Total: 10, Available: 7, Pending: 2, Settled: 1, Now: time.Unix(100, 0), OldestPending: time.Unix(98, 0)}}}
	copies[0].ID = 5
	reg := prometheus.NewRegistry()
	reg.MustRegister(newSaleMetrics(func() []*catalog.Snapshot { return copies }))
	text := exposed(t, reg)
	require.Equal(t, "7", value(text, `seckill_stock_available_units{sale="5"}`))
	require.Equal(t, "2", value(text, `seckill_stock_pending_units{sale="5"}`))
	require.Equal(t, "1", value(text, `seckill_stock_settled_units{sale="5"}`))
	require.Equal(t, "10", value(text, `seckill_stock_total_units{sale="5"}`))
	require.Equal(t, "2", value(text, `seckill_order_oldest_pending_seconds{sale="5"}`))
	copies[0].Meta = stock.Meta{}
	require.NotContains(t, exposed(t, reg), `sale="5"`)
}

func TestWhatTheDocumentUsesOfTheRuntimeIsExported(t *testing.T) {
	t.Parallel()
	s := startRoles(t)
	_, table, _ := strings.Cut(document(t, "docs/metrics.md"), "\n|---|---|\n")
	rows := strings.Split(strings.TrimSpace(table), "\n")
	require.Greater(t, len(rows), 5)
	for _, row := range rows {
		name := strings.Split(row, "`")[1]
		for role, reg := range s.registries {
			require.Contains(t, exposed(t, reg), "# HELP "+name+" ", role)
		}
	}
}

func TestAResultThatNobodyNamedIsObserved(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	publishMetrics(reg)("of_a_newer_version", 3, time.Millisecond)
	text := exposed(t, reg)
	require.Equal(t, "1", value(text, `seckill_publish_duration_seconds_count{result="of_a_newer_version"}`))
	require.Equal(t, "0", value(text, `seckill_publish_duration_seconds_count{result="stored"}`))
}
