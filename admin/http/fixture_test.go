package adminhttp_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"seckill/admin"
	adminhttp "seckill/admin/http"
	"seckill/audit"
	"seckill/fleet"
	"seckill/internal/auth"
	"seckill/internal/config"
	"seckill/internal/denial"
	"seckill/order"
	"seckill/order/memory"
	queuememory "seckill/queue/memory"
	"seckill/reconcile"
	"seckill/stock"
)

// adminAPI is the API on the in-memory store and an embedded Redis.
type adminAPI struct {
	t       *testing.T
	store   *memory.Store
	mini    *miniredis.Miniredis
	ledger  *stock.Ledger
	fleet   *fleet.Fleet
	opts    admin.Options
	service *admin.Service
	handler *adminhttp.Handler
	ids     *order.IDMaker
}

func newAdminAPI(t *testing.T) *adminAPI {
	t.Helper()
	d := &adminAPI{t: t, store: memory.NewStore(), mini: miniredis.RunT(t), ids: order.NewIDMaker(8000)}
	rdb := redis.NewClient(&redis.Options{Addr: d.mini.Addr(), MaxRetries: -1})
	t.Cleanup(func() { _ = rdb.Close() })
	d.ledger = stock.New(rdb)
	log := slog.New(slog.DiscardHandler)
	loader := reconcile.NewLoader(d.store, d.store, d.ledger, queuememory.NewQueue(), log)
	d.fleet = fleet.New(rdb, "shop")
	own, err := config.Load(nil, "")
	require.NoError(t, err)
	d.opts = admin.Options{
		Operations: d.store, Sales: d.store, Names: d.store, AuditLog: d.store, Orders: d.store, Search: d.store, DeadLetters: d.store, Payments: d.store, Reports: d.store,
		Ledger: d.ledger, Entries: d.ledger, Loader: loader, Tail: reconcile.NewTail(d.store, d.ledger),
		Auditor: audit.NewAuditor(d.store, d.ledger, audit.Grace), Rebuilder: reconcile.NewRebuilder(d.store, d.ledger, loader),
		Limits: d.store, LimitRules: admin.LimitRules{Configured: own.Limits(), Parse: config.ParseLimit}, Fleet: d.fleet, Log: log,
	}
	d.reopen()
	return d
}

// reopen creates the API again with the current options.
func (d *adminAPI) reopen() {
	d.service = admin.New(d.opts)
	d.handler = adminhttp.NewHandler(d.service, fakeTokens{}, denial.NewRecorder(nil, d.opts.Log, denial.Operator), d.opts.Log)
}

// fakeTokens are those of operators whose tokens are their names.
type fakeTokens struct{}

func (fakeTokens) Operator(token string) (order.Operator, error) {
	roles := map[string]string{"alice": adminhttp.Operate, "bob": adminhttp.Operate, "victor": adminhttp.Viewer, "nobody": ""}
	role, ok := roles[token]
	if !ok {
		return order.Operator{}, auth.Refused("signature")
	}
	return order.Operator{Name: token, Role: role}, nil
}

// reply is a response of the API.
type reply struct {
	status int
	header http.Header
	text   string
	sale   admin.SaleView // if it is one
	body   struct {
		Code   string `json:"code"`
		Detail string `json:"detail"`
		Errors []struct {
			Pointer string `json:"pointer"`
		} `json:"errors"`
		Items []json.RawMessage `json:"items"`
		Next  string            `json:"next_cursor"`
	}
}

// as sends a request of an operator; headers are names and values in turn.
func (d *adminAPI) as(who, method, path, body string, headers ...string) reply {
	d.t.Helper()
	req := httptest.NewRequestWithContext(d.t.Context(), method, adminhttp.Prefix+path, strings.NewReader(body))
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if who != "" {
		req.Header.Set("Authorization", "Bearer "+who)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header[http.CanonicalHeaderKey(headers[i])] = append(req.Header[http.CanonicalHeaderKey(headers[i])], headers[i+1])
	}
	rec := httptest.NewRecorder()
	d.handler.ServeHTTP(rec, req)
	r := reply{status: rec.Code, header: rec.Header(), text: rec.Body.String()}
	require.NoError(d.t, json.Unmarshal(rec.Body.Bytes(), &r.body), r.text)
	_ = json.Unmarshal(rec.Body.Bytes(), &r.sale)
	require.Equal(d.t, "no-store", r.header.Get("Cache-Control"))
	if r.status >= 400 {
		require.Equal(d.t, "application/problem+json", r.header.Get("Content-Type"))
		require.NotEmpty(d.t, r.body.Code)
	}
	return r
}

// want sends a request of alice and checks the status.
func (d *adminAPI) want(status int, method, path, body string, headers ...string) reply {
	d.t.Helper()
	r := d.as("alice", method, path, body, headers...)
	require.Equal(d.t, status, r.status, "%s %s: %s", method, path, r.text)
	return r
}

// draft is the body of a sale of that many units which sells now.
func draft(units int) string {
	now := time.Now().UTC()
	text, _ := json.Marshal(map[string]any{
		"title": "Sneaker", "price_minor": 9900, "currency": "CNY", "stock": units,
		"starts_at": now.Add(-time.Hour).Format(time.RFC3339), "ends_at": now.Add(time.Hour).Format(time.RFC3339),
	})
	return string(text)
}

// sale creates a sale and opens it.
func (d *adminAPI) sale(units int) int64 {
	d.t.Helper()
	made := d.want(http.StatusCreated, http.MethodPost, "sales", draft(units))
	d.want(http.StatusOK, http.MethodPost, "sales/"+made.sale.ID+"/open", "")
	id, err := strconv.ParseInt(made.sale.ID, 10, 64)
	require.NoError(d.t, err)
	return id
}

func path(id int64, rest string) string { return "sales/" + strconv.FormatInt(id, 10) + rest }

// buy reserves an order in Redis, and settles it.
func (d *adminAPI) buy(saleID int64, shopper string) (order.Verdict, error) {
	d.t.Helper()
	o := d.reserve(saleID, shopper)
	if o.ID == 0 {
		return order.Verdict{}, stock.ErrSoldOut
	}
	vs, err := d.store.Settle(d.t.Context(), []order.Order{o})
	require.NoError(d.t, err)
	require.NoError(d.t, d.ledger.Apply(d.t.Context(), order.Changes(vs)))
	return vs[0], nil
}

func (d *adminAPI) reserve(saleID int64, shopper string) order.Order {
	d.t.Helper()
	id, err := d.ids.Next()
	require.NoError(d.t, err)
	o := order.Order{ID: id, SaleID: saleID, ShopperID: shopper, Quantity: 1}
	rs, err := d.ledger.Reserve(d.t.Context(), saleID, stock.Purchases(o))
	require.NoError(d.t, err)
	if rs[0].Err != nil {
		return order.Order{}
	}
	o.Slot = rs[0].Slot
	return o
}

func (d *adminAPI) meta(saleID int64) stock.Meta {
	d.t.Helper()
	ms, err := d.ledger.Metas(context.WithoutCancel(d.t.Context()), []int64{saleID})
	require.NoError(d.t, err)
	return ms[0]
}

func (d *adminAPI) history(q order.AuditQuery) []order.AuditEntry {
	d.t.Helper()
	q.Limit = 1000
	entries, err := d.store.AuditLog(d.t.Context(), q)
	require.NoError(d.t, err)
	return entries
}
