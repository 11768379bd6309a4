package reconcile_test

import (
	"context"
	"database/sql"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"seckill/audit"
	"seckill/internal/testenv"
	"seckill/order"
	"seckill/order/memory"
	"seckill/order/mysql"
	"seckill/payment"
	"seckill/queue"
	"seckill/reconcile"
	"seckill/stock"
)

// Any order of purchases and faults on the real scripts and the real SQL:
// whatever MySQL decides a model decides as well, the counters add up after
// every step, and when the faults end everything heals.
// docs/faults/README.md has the command for a long run.
func TestAnySequenceOfFaultsHeals(t *testing.T) {
	t.Parallel()
	rdb, db := testenv.Redis(t), testenv.MySQL(t)
	w := &wire{pool: db}
	wired := sql.OpenDB(w)
	t.Cleanup(func() { _ = wired.Close() })
	wired.SetMaxOpenConns(4)
	wired.SetMaxIdleConns(4)
	store := mysql.NewStore(wired, slog.New(slog.DiscardHandler))
	ids := order.NewIDMaker(1)
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t, rdb, db, w, store, ids)
		defer m.forget()
		t.Repeat(map[string]func(*rapid.T){
			"":              m.on(m.check),
			"buy":           m.on(m.buy),
			"buyAgain":      m.on(m.buy),
			"settle":        m.on(m.settle),
			"settleMore":    m.on(m.settle),
			"writeBack":     m.on(m.lateWriteBack),
			"tail":          m.on(m.catchUp),
			"sweep":         m.on(m.sweep),
			"resolve":       m.on(m.resolve),
			"pay or cancel": m.on(m.payOrCancel),
			"expire":        m.on(m.expire),
			"command":       m.on(m.command),
			"save":          m.on(m.save),
			"regress":       m.on(m.regress),
			"wipe":          m.on(m.wipe),
			"load":          m.on(m.load),
			"slowLoad":      m.on(m.slowLoad),
			"rebuild":       m.on(m.rebuild),
			"audit":         m.on(m.audit),
			"poll":          m.on(m.poll),
		})
		m.t = t
		m.heal()
	})
}

// machine is one sale on real servers, with what is under way between them.
type machine struct {
	t     *rapid.T // of the action that runs
	rdb   goredis.UniversalClient
	db    *sql.DB // past the wire
	wire  *wire
	ids   *order.IDMaker
	store *checkedStore

	saleID       int64
	slots, units int // an order may have, a shopper may have

	ledger   *stock.Ledger
	tail     *reconcile.Tail
	sweeper  *reconcile.Sweeper
	resolver *reconcile.Resolver
	expirer  *reconcile.Expirer
	loader   *reconcile.Loader
	builder  *reconcile.Rebuilder
	auditor  *audit.Background
	payments *payment.Service

	asked    []order.Order // what Redis has ever reserved
	answered map[who]order.Status
	queue    []message
	late     []order.Change // write-backs under way
	saved    map[string]string
	slow     *stock.Loading // a load under way in another process
	slowSale order.Sale
	overdue  order.ID
	commands int
	healing  bool
}

// who is an order: two may have one ID.
type who struct {
	id      order.ID
	shopper string
}

func whose(o order.Order) who { return who{o.ID, o.ShopperID} }

// message is an order in the queue.
type message struct {
	order.Order

	passed bool
}

// passed is a queue that holds up no load.
type passed struct{}

func (passed) MaxOffsets(context.Context) (queue.Offsets, error) { return queue.Offsets{}, nil }
func (passed) Committed(context.Context) (queue.Offsets, error)  { return queue.Offsets{}, nil }

var shoppers = []string{"ann", "bob", "cid"}

func newMachine(t *rapid.T, rdb goredis.UniversalClient, db *sql.DB, w *wire, store *mysql.Store, ids *order.IDMaker) *machine {
	m := &machine{
		t: t, rdb: rdb, db: db, wire: w, ids: ids, saleID: testenv.SaleID(), ledger: stock.New(rdb), answered: map[who]order.Status{},
		slots: rapid.IntRange(1, 3).Draw(t, "orders per shopper"), units: rapid.IntRange(1, 3).Draw(t, "units per order"),
	}
	m.store = &checkedStore{Store: store, m: m, model: memory.NewStore()}
	log, redis := slog.New(slog.DiscardHandler), sink{m.ledger, m}
	m.tail = reconcile.NewTail(m.store, m.ledger)
	m.sweeper = reconcile.NewSweeper(m.store, m.ledger, settlers{m}, quiet())
	m.resolver = reconcile.NewResolver(m.store, redis, m)
	m.expirer = reconcile.NewExpirer(m.store, redis, nil, log)
	m.loader = reconcile.NewLoader(m.store, m.store, m.ledger, passed{}, log)
	m.builder = reconcile.NewRebuilder(m.store, redis, m.loader)
	m.auditor = audit.NewBackground(m.store, m.ledger, 0, prometheus.NewRegistry(), log)
	m.payments = payment.New(m.store, redis, func(ask func() error) error { return ask() }, log)

	sale := order.Sale{
		ID: m.saleID, Title: "t", PriceMinor: 1, Currency: "CNY", Total: rapid.IntRange(1, 6).Draw(t, "units"),
		OrdersPerShopper: m.slots, UnitsPerOrder: m.units,
		StartsAt: time.Now().Add(-time.Hour), EndsAt: time.Now().Add(time.Hour), PayWithin: time.Hour,
	}
	for _, create := range []func(context.Context, order.Sale) (order.Sale, error){store.CreateSale, m.store.model.CreateSale} {
		_, err := create(m.ctx(), sale)
		require.NoError(t, err)
	}
	_, err := m.store.Operate(m.ctx(), order.Operation{Command: m.commandID(), SaleID: m.saleID, Action: order.Moving("", order.SaleOpen)})
	require.NoError(t, err)
	require.NoError(t, m.loader.Load(m.ctx(), m.saleID))
	return m
}

func (*machine) ctx() context.Context { return context.Background() }

// on makes an action of do.
func (m *machine) on(do func()) func(*rapid.T) {
	return func(t *rapid.T) {
		m.t = t
		m.wire.next.Store(commitAnswered)
		do()
	}
}

// forget removes the sale from Redis; the database is the test's own.
func (m *machine) forget() {
	m.wire.next.Store(commitAnswered)
	_ = m.rdb.Unlink(m.ctx(), m.keys()...)
}

func (m *machine) key(suffix string) string {
	return "seckill:{" + order.ID(m.saleID).String() + "}:" + suffix
}

// keys are all that Redis has of the sale.
func (m *machine) keys() []string { return []string{m.key("m"), m.key("o"), m.key("d"), m.key("u")} }

func (m *machine) meta() stock.Meta {
	ms, err := m.ledger.Metas(m.ctx(), []int64{m.saleID})
	require.NoError(m.t, err)
	return ms[0]
}

func (m *machine) sale() order.Sale {
	sale, err := m.store.Sale(m.ctx(), m.saleID)
	require.NoError(m.t, err)
	return sale
}

// MaxOffsets and Committed are those of the queue, one partition.
func (m *machine) MaxOffsets(context.Context) (queue.Offsets, error) {
	return queue.Offsets{"q": int64(len(m.queue))}, nil
}

func (m *machine) Committed(context.Context) (queue.Offsets, error) {
	for i, msg := range m.queue {
		if !msg.passed {
			return queue.Offsets{"q": int64(i)}, nil
		}
	}
	return queue.Offsets{"q": int64(len(m.queue))}, nil
}
