package adminhttp_test

import (
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	adminhttp "seckill/admin/http"
	"seckill/internal/denial"
	"seckill/internal/testenv"
	"seckill/order"
)

func TestRolesDecideWhoMayReadAndWhoMayChange(t *testing.T) {
	t.Parallel()
	d := newAdminAPI(t)
	id := d.sale(10)
	const get, post, patch = http.MethodGet, http.MethodPost, http.MethodPatch
	for _, c := range []struct {
		who, method, path string
		status            int
	}{
		{"", get, "sales", 401},
		{"mallory", get, "sales", 401},
		{"", get, "nowhere", 401},
		{"", post, path(id, "/pause"), 401},
		{"nobody", get, "sales", 403},
		{"victor", get, "sales", 200},
		{"victor", get, path(id, ""), 200},
		{"victor", get, "audit-log", 200},
		{"victor", post, "sales", 403},
		{"victor", post, "sales/pause", 403},
		{"victor", post, path(id, "/pause"), 403},
		{"victor", patch, path(id, ""), 403},
		{"alice", get, "nowhere", 404},
		{"alice", post, path(id, "/explode"), 404},
		{"alice", post, path(id+1, "/pause"), 404},
		{"alice", post, "sales/12x/pause", 404},
		{"alice", http.MethodDelete, path(id, ""), 405},
		{"alice", post, path(id, "/pause"), 200},
	} {
		r := d.as(c.who, c.method, c.path, "")
		require.Equal(t, c.status, r.status, "%s %s %s: %s", c.who, c.method, c.path, r.text)
		require.Equal(t, c.status == 401, r.header.Get("WWW-Authenticate") != "")
		require.Equal(t, c.status == 405, r.header.Get("Allow") != "")
	}
	r := d.as("", get, "sales", "", "Authorization", "Bearer alice", "Authorization", "Bearer bob")
	require.Equal(t, 401, r.status, "two tokens")
	entries := d.history(order.AuditQuery{SaleID: id})
	require.Len(t, entries, 3, "create, open, pause: refused requests changed nothing")
	r = d.as("victor", post, path(id, "/end"), "", "Accept-Language", "zh-CN,en;q=0.5")
	require.Contains(t, r.text, "无权限")
}

func TestAnOperatorsRefusedTokenIsCountedAndItsCauseLogged(t *testing.T) {
	t.Parallel()
	d := newAdminAPI(t)
	logs, reg := &testenv.Logs{}, prometheus.NewRegistry()
	log := slog.New(slog.NewTextHandler(logs, nil))
	d.handler = adminhttp.NewHandler(d.service, fakeTokens{}, denial.NewRecorder(reg, log, denial.Operator), log)
	require.Equal(t, 401, d.as("", http.MethodGet, "sales", "").status)
	require.Equal(t, 401, d.as("forged", http.MethodGet, "orders?sale_id=1", "").status)
	require.Equal(t, 401, d.as("alice", http.MethodGet, "sales", "", "Authorization", "Bearer bob").status)
	require.Equal(t, 403, d.as("victor", http.MethodPost, "sales/pause", "").status)
	require.Equal(t, 403, d.as("nobody", http.MethodGet, "sales", "").status)
	require.Equal(t, 200, d.as("alice", http.MethodGet, "sales", "").status)
	families, err := reg.Gather()
	require.NoError(t, err)
	counted := map[string]float64{}
	for _, m := range families[0].GetMetric() {
		if n := m.GetCounter().GetValue(); n > 0 {
			counted[m.GetLabel()[0].GetValue()] = n
		}
	}
	require.Equal(t, map[string]float64{"no_token": 1, "signature": 1, "malformed": 1, "role": 2}, counted)
	for _, line := range []string{
		`msg=refused kind=operator cause=signature route="GET /admin/v1/orders" address=192.0.2.1`,
		`msg=refused kind=operator cause=role route="POST /admin/v1/sales/pause" address=192.0.2.1 detail="\"victor\" with the role \"viewer\""`,
	} {
		require.Contains(t, logs.String(), line)
	}
	require.NotContains(t, logs.String(), "forged")
}

func TestActionsOnASaleReachRedisAtOnce(t *testing.T) {
	t.Parallel()
	d := newAdminAPI(t)
	id := d.sale(10)
	for _, step := range []struct {
		action, says string
		state        order.SaleState
		status       int
	}{
		{"pause", "", order.SalePaused, 200},
		{"pause", "", order.SalePaused, 200},
		{"resume", "", order.SaleOpen, 200},
		{"end", "", order.SaleEnded, 200},
		{"resume", "is ended, cannot be open", order.SaleEnded, 409},
	} {
		r := d.want(step.status, http.MethodPost, path(id, "/"+step.action), "")
		require.Contains(t, r.body.Detail, step.says)
		require.Equal(t, step.state, d.meta(id).State)
	}
	r := d.want(200, http.MethodGet, path(id, ""), "")
	require.Equal(t, `"5"`, r.header.Get("ETag"))
	require.Equal(t, uint64(5), r.sale.Version)
	require.Equal(t, r.sale.Seq, r.sale.Redis.Applied)
	var actions []string
	for _, e := range d.history(order.AuditQuery{Actor: "alice"}) {
		actions = append(actions, e.Action)
	}
	require.Equal(t, []string{"end", "resume", "pause", "open", "create"}, actions)
}

func TestAChangeRequiresTheVersionThatWasRead(t *testing.T) {
	t.Parallel()
	d := newAdminAPI(t)
	made := d.want(http.StatusCreated, http.MethodPost, "sales", draft(10))
	require.Equal(t, `"1"`, made.header.Get("ETag"))
	require.Equal(t, "/admin/v1/sales/"+made.sale.ID, made.header.Get("Location"))
	sale := "sales/" + made.sale.ID
	const patch = http.MethodPatch
	require.Equal(t, "precondition-required", d.want(428, patch, sale, `{"title":"x"}`).body.Code)
	for _, bad := range []string{"1", `W/"1"`, "*", `"0"`, `"-1"`, `"x"`, ""} {
		require.Equal(t, "if-match-invalid", d.want(400, patch, sale, `{"title":"x"}`, "If-Match", bad).body.Code, bad)
	}
	require.Equal(t, `"2"`, d.want(200, patch, sale, `{"title":"Alice","price_minor":1}`, "If-Match", `"1"`).header.Get("ETag"))
	r := d.as("bob", patch, sale, `{"title":"Bob"}`, "If-Match", `"1"`)
	require.Equal(t, 412, r.status, "bob has not read what alice wrote")
	require.Equal(t, "precondition-failed", r.body.Code)
	require.Equal(t, 412, d.as("bob", http.MethodPost, sale+"/open", "", "If-Match", `"1"`).status)
	require.Equal(t, 200, d.as("bob", http.MethodPost, sale+"/open", "", "If-Match", `"2"`).status)
	r = d.want(409, patch, sale, `{"price_minor":2}`, "If-Match", `"3"`)
	require.Contains(t, r.body.Detail, "its price cannot change")
	r = d.want(409, patch, sale, `{"price_minor":2,"units_per_order":3}`, "If-Match", `"3"`)
	require.Regexp(t, `^sale \d+ is open: its price cannot change any more; sale \d+ is open: its units_per_order cannot change any more$`, r.body.Detail)
	r = d.want(200, http.MethodGet, sale, "")
	require.Equal(t, []any{"Alice", int64(1), uint64(3)}, []any{r.sale.Title, r.sale.PriceMinor, r.sale.Version})
}

func TestAKeyNamesOneActionOfOneOperator(t *testing.T) {
	t.Parallel()
	d := newAdminAPI(t)
	id := d.sale(10)
	for range 3 {
		r := d.want(200, http.MethodPost, path(id, "/restock"), `{"units":5}`, "Idempotency-Key", "night-1")
		require.Equal(t, 15, r.sale.Total)
	}
	require.Equal(t, 20, d.as("bob", http.MethodPost, path(id, "/restock"), `{"units":5}`, "Idempotency-Key", "night-1").sale.Total)
	require.Equal(t, "idempotency-key-reused", d.want(422, http.MethodPost, path(id, "/restock"), `{"units":6}`, "Idempotency-Key", "night-1").body.Code)
	for _, bad := range []string{"", strings.Repeat("x", 65), "a\tb"} {
		require.Equal(t, "idempotency-key-invalid", d.want(400, http.MethodPost, path(id, "/pause"), "", "Idempotency-Key", bad).body.Code)
	}
	text := draft(3)
	first := d.want(201, http.MethodPost, "sales", text, "Idempotency-Key", "new").sale.ID
	require.Equal(t, first, d.want(201, http.MethodPost, "sales", text, "Idempotency-Key", "new").sale.ID)
	require.Equal(t, int64(20), d.meta(id).Total)
}

func TestBadInputChangesNothing(t *testing.T) {
	t.Parallel()
	d := newAdminAPI(t)
	id := d.sale(10)
	version := d.want(200, http.MethodGet, path(id, ""), "").header.Get("ETag")
	for _, c := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"POST", path(id, "/restock"), ``, 422, "validation"},
		{"POST", path(id, "/restock"), `{"units":0}`, 422, "validation"},
		{"POST", path(id, "/restock"), `{"units":1.5}`, 400, "malformed-json"},
		{"POST", path(id, "/restock"), `{"units":"1"}`, 400, "malformed-json"},
		{"POST", path(id, "/restock"), `{"units":null}`, 400, "malformed-json"},
		{"POST", path(id, "/restock"), `{"Units":1}`, 400, "malformed-json"},
		{"POST", path(id, "/restock"), `{"units":1,"units":2}`, 400, "malformed-json"},
		{"POST", path(id, "/restock"), `{"units":1} {}`, 400, "malformed-json"},
		{"POST", path(id, "/restock"), `null`, 400, "malformed-json"},
		{"POST", path(id, "/restock"), `[1]`, 400, "malformed-json"},
		{"POST", path(id, "/restock"), "{\"units\":1,\"\xff\":2}", 400, "malformed-json"},
		{"POST", path(id, "/restock"), `{"units":1,"user":2}`, 400, "unexpected-field"},
		{"POST", path(id, "/restock"), `{"units":-11}`, 409, "conflict"},
		{"POST", path(id, "/restock"), `{"units":1000000000}`, 409, "conflict"},
		{"POST", path(id, "/restock"), `{"units":` + strings.Repeat(" ", 1<<17) + `1}`, 413, "too-large"},
		{"POST", path(id, "/pause"), `{"why":"x"}`, 400, "unexpected-field"},
		{"POST", path(id, "/extend-pay"), ``, 422, "validation"},
		{"POST", path(id, "/extend-pay"), `{"minutes":5,"pay_within":"1h"}`, 422, "validation"},
		{"POST", path(id, "/extend-pay"), `{"minutes":-5}`, 422, "validation"},
		{"POST", path(id, "/extend-pay"), `{"pay_within":"soon"}`, 422, "validation"},
		{"POST", path(id, "/extend-pay"), `{"pay_within":"1m"}`, 409, "conflict"},
		{"POST", path(id, "/extend-pay"), `{"pay_within":"1000h"}`, 422, "validation"},
		{"PATCH", path(id, ""), `{"total":5}`, 400, "unexpected-field"},
		{"PATCH", path(id, ""), `{"ends_at":"tomorrow"}`, 422, "validation"},
		{"PATCH", path(id, ""), `{"ends_at":"2001-01-01T00:00:00Z"}`, 422, "validation"},
		{"PATCH", path(id, ""), `{"title":""}`, 422, "validation"},
		{"POST", "sales", `{}`, 422, "validation"},
		{"POST", "sales", strings.Replace(draft(1), "CNY", "yuan", 1), 422, "validation"},
		{"GET", "sales?limit=0", "", 422, "validation"},
		{"GET", "sales?limit=201", "", 422, "validation"},
		{"GET", "sales?cursor=x", "", 422, "validation"},
		{"GET", "sales?state=open", "", 400, "unexpected-field"},
		{"GET", "sales?limit=1&limit=2", "", 422, "validation"},
		{"GET", "audit-log?sale_id=id:0", "", 422, "validation"},
	} {
		r := d.as("alice", c.method, c.path, c.body, "If-Match", version)
		require.Equal(t, c.status, r.status, "%s %s %.80s: %s", c.method, c.path, c.body, r.text)
		require.Equal(t, c.code, r.body.Code, "%s %.80s", c.path, c.body)
		named := slices.Contains([]string{`{"units":1.5}`, `{"units":"1"}`, `{"units":null}`, `{"Units":1}`}, c.body) || c.code == "unexpected-field" && c.body != ""
		require.Equal(t, c.code == "validation" || named, len(r.body.Errors) > 0, r.text)
	}
	r := d.want(415, http.MethodPost, path(id, "/restock"), `{"units":1}`, "Content-Encoding", "gzip")
	require.Equal(t, "unsupported-media", r.body.Code)
	require.Equal(t, 415, d.as("alice", http.MethodPost, path(id, "/restock"), `{"units":1}`, "Content-Type", "text/plain").status)
	require.Len(t, d.history(order.AuditQuery{}), 2)
	require.Equal(t, int64(10), d.meta(id).Total)
	sales, err := d.store.Sales(t.Context())
	require.NoError(t, err)
	require.Len(t, sales, 1)
}

func TestAChangeStandsWhileRedisIsDown(t *testing.T) {
	t.Parallel()
	d := newAdminAPI(t)
	id := d.sale(10)
	d.mini.Close()
	r := d.want(http.StatusAccepted, http.MethodPost, path(id, "/pause"), "")
	require.Equal(t, "paused", r.sale.State)
	require.False(t, *r.sale.InForce)
	r = d.want(200, http.MethodGet, path(id, ""), "")
	require.Equal(t, "paused", r.sale.State)
	require.NotEmpty(t, r.sale.Redis.Error)
	require.NoError(t, d.mini.Restart())
	require.Equal(t, order.SaleOpen, d.meta(id).State, "Redis has not been updated")
	r = d.want(200, http.MethodPost, path(id, "/pause"), "")
	require.True(t, *r.sale.InForce, "repeated: nothing changes in MySQL, Redis is updated")
	require.Equal(t, order.SalePaused, d.meta(id).State)
}

func TestPauseAllPausesWhatIsOpen(t *testing.T) {
	t.Parallel()
	d := newAdminAPI(t)
	a, b, ended := d.sale(1), d.sale(1), d.sale(1)
	scheduled := d.want(http.StatusCreated, http.MethodPost, "sales", draft(1)).sale.ID
	d.want(200, http.MethodPost, path(ended, "/end"), "")
	require.Len(t, d.want(200, http.MethodPost, "sales/pause", "").body.Items, 2)
	require.Empty(t, d.want(200, http.MethodPost, "sales/pause", "").body.Items)
	for id, state := range map[int64]order.SaleState{a: order.SalePaused, b: order.SalePaused, ended: order.SaleEnded} {
		require.Equal(t, state, d.meta(id).State)
	}
	require.Equal(t, "scheduled", d.want(200, http.MethodGet, "sales/"+scheduled, "").sale.State)
}

func TestListsComeInPages(t *testing.T) {
	t.Parallel()
	d := newAdminAPI(t)
	for range 5 {
		d.sale(1)
	}
	for i := range 5 {
		require.NoError(t, d.store.AddDeadLetter(t.Context(), order.DeadLetter{MessageID: "\xff" + strconv.Itoa(i), Reason: "malformed"}))
	}
	for _, bad := range []string{"7", "e30", "%%"} {
		require.Contains(t, []int{400, 422}, d.as("alice", http.MethodGet, "dead-letters?cursor="+bad, "").status, bad)
	}
	for list, want := range map[string]int{"sales": 5, "dead-letters": 5, "audit-log": 10, "audit-log?actor=alice": 10, "audit-log?actor=bob": 0} {
		seen, cursor := map[string]bool{}, ""
		for more := true; more; more = cursor != "" {
			sep := "?"
			if strings.Contains(list, "?") {
				sep = "&"
			}
			at := list + sep + "limit=2"
			if cursor != "" {
				at += "&cursor=" + cursor
			}
			r := d.want(200, http.MethodGet, at, "")
			for _, item := range r.body.Items {
				seen[string(item)] = true
			}
			cursor = r.body.Next
		}
		require.Len(t, seen, want, list)
	}
}
