//go:build e2e

package test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"seckill/order"
	"seckill/queue/rocketmq"
	"seckill/stock"
	"seckill/test/mutants"
)

// faulty is the program with failpoints, and clocked that program with a clock
// that can be wrong, each built by whoever needs it first.
var (
	faulty  = sync.OnceValues(func() (string, error) { return buildFaulty(mutants.Mutant{}, false) })
	clocked = sync.OnceValues(func() (string, error) { return buildFaulty(mutants.Mutant{}, true) })
)

// buildFaulty builds one of them as a mutant; the zero Mutant breaks nothing.
func buildFaulty(m mutants.Mutant, withClock bool) (string, error) {
	dir, err := os.MkdirTemp(filepath.Dir(binary), "faulty-")
	if err != nil {
		return "", err
	}
	replace, err := m.Replace("..", dir)
	if err != nil {
		return "", err
	}
	if withClock {
		patched, err := wrongClock(dir)
		if err != nil {
			return "", err
		}
		maps.Copy(replace, patched)
	}
	overlay, err := mutants.WriteOverlay(dir, replace)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "seckill")
	out, err := exec.Command("go", "build", "-tags", "failpoint", "-overlay", overlay, "-o", path, "../cmd/seckill").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build with failpoints: %w: %s", err, out)
	}
	return path, nil
}

// testbed is a shop for faults: two processes of each role, whose connections to the
// stores go through proxies. If it has servers of its own, it can also stop these,
// and the connection to the broker.
type testbed struct {
	t             *testing.T
	shop          *shop
	roles         []*role // api 0, api 1, consumer 0, consumer 1
	servers       map[string]*server
	links         map[string]*link
	redis         string // address of the server
	ledger        *stock.Ledger
	outside       *rocketmq.Publisher // sends what no API has sent
	ids           *order.IDMaker
	crowds        []*trackedCrowd
	eventConsumer *eventConsumer // receives the order events; nil where the program sends none
}

// role is one process of the shop; watch starts it again when it has died.
type role struct {
	name   string
	mu     sync.Mutex
	p      *process
	env    []string      // without a failpoint
	offset time.Duration // of its wall clock, when it is started
	held   bool          // a fault keeps it down
}

var serverNames = []string{"redis", "mariadb", "broker", "namesrv"}

// newTestbed makes one of the program at path.
func newTestbed(t *testing.T, on *servers, path string, withoutSlotKey bool) *testbed {
	t.Helper()
	env := maps.Clone(on.env)
	a := &testbed{t: t, servers: map[string]*server{}, links: map[string]*link{}, ids: order.NewIDMaker(8000)}
	if on.dir != "" {
		a.links[on.broker.name] = on.broker
		for _, name := range serverNames {
			a.servers[name] = newServer(t, on.dir, name)
		}
	}
	a.redis = env["SECKILL_REDIS_ADDRS"]
	env["SECKILL_REDIS_ADDRS"] = a.through("test>redis", a.redis)
	a.shop = newShop(t, env, 0, 0) // env now names its own database
	if withoutSlotKey {
		a.dropSlotKey()
	}
	a.ledger = stock.New(a.shop.rdb)
	for i := range 4 {
		name := []string{"api", "consumer"}[i/2]
		r := &role{name: fmt.Sprintf("%s-%d", name, i%2), env: a.wired(name, env)}
		args := []string{name}
		if name == "api" {
			addr := freeAddr(t)
			args = append(args, "--listen", addr)
			a.shop.urls = append(a.shop.urls, "http://"+addr)
		}
		r.p = newProcess(t, r.env, args...)
		r.p.path = path
		a.roles = append(a.roles, r)
	}
	a.outside = a.shop.publisher()
	return a
}

// wired returns the settings of a role whose connections go through its own proxies.
func (a *testbed) wired(name string, env map[string]string) []string {
	cfg, err := mysql.ParseDSN(env["SECKILL_MYSQL_DSN"])
	require.NoError(a.t, err)
	redisAddr := a.through(name+">redis", a.redis)
	cfg.Addr = a.through(name+">mysql", cfg.Addr)
	return append(slices.Clone(a.shop.env), "SECKILL_REDIS_ADDRS="+redisAddr, "SECKILL_MYSQL_DSN="+cfg.FormatDSN())
}

// through returns the address of the proxy before a server.
func (a *testbed) through(name, upstream string) string {
	h, ok := a.links[name]
	if !ok {
		h = newLink(a.t, name, upstream)
		a.links[name] = h
	}
	return h.listen
}

// open starts all processes, and makes and opens the sales.
func (a *testbed) open(rng *rand.Rand, shoppers int, lossy bool) {
	a.launch()
	for _, terms := range []saleTerms{{perShopper: 1, units: 1}, {perShopper: 2, units: 2}} {
		n := shoppers / 2
		terms.stock = n/4 + rng.IntN(n*3/4) // it sells out, soon or towards the end;
		if terms.perShopper > 1 {
			terms.stock = n/2 + rng.IntN(4*n) // this one may
		}
		crowd := a.shop.crowd(a.shop.sale(terms), a.shop.tokens(1, n))
		c := newTrackedCrowd(crowd, terms.stock, terms.perShopper, terms.units)
		c.lossy = lossy
		a.crowds = append(a.crowds, c)
	}
	a.known()
}

// launch starts all processes and waits until each is ready.
func (a *testbed) launch() {
	for _, r := range a.roles {
		a.note("raise "+r.name, r.raise(""))
	}
	for _, r := range a.roles {
		require.Eventually(a.t, r.p.ready, 30*time.Second, 20*time.Millisecond, "%s is not ready", r.name)
	}
}

// known waits until each API shows each sale as open.
func (a *testbed) known() {
	for _, c := range a.crowds {
		for _, url := range a.shop.urls {
			one := (&shop{urls: []string{url}}).crowd(c.sale, c.tokens[:1])
			require.Eventually(a.t, func() bool {
				got, err := one.ask(0, "GET", "/v1/sales/"+c.sale, "")
				return err == nil && got.status == 200 && got.body.State == "open"
			}, 20*time.Second, 50*time.Millisecond, "%s does not know sale %s", url, c.sale)
		}
	}
}

// note reports an error of the test itself, from any goroutine.
func (a *testbed) note(what string, err error) {
	if err != nil {
		a.t.Errorf("harness: %s: %v", what, err)
	}
}

// kill is kill -9; the process stays down until raise.
func (r *role) kill() { r.down(syscall.SIGKILL, 0) }

// down ends the process with a signal, or after patience with kill -9, and keeps it
// down.
func (r *role) down(s syscall.Signal, patience time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = true
	if r.p.running() {
		_ = r.p.cmd.Process.Signal(s)
		select {
		case <-r.p.ended:
		case <-time.After(patience):
			r.p.kill()
		}
	}
}

// raise starts the process again if it is down; armed is its failpoint or "".
func (r *role) raise(armed string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = false
	if r.p.running() {
		return nil
	}
	r.p.env = slices.Clone(r.env)
	if armed != "" {
		r.p.env = append(r.p.env, "SECKILL_FAILPOINT="+armed)
	}
	if r.offset != 0 {
		r.p.env = append(r.p.env, "SECKILL_CLOCK_OFFSET="+r.offset.String())
	}
	return r.p.launch()
}

// revive starts a process again that died, as a supervisor does.
func (r *role) revive() error {
	r.mu.Lock()
	dead := !r.held && !r.p.running()
	r.mu.Unlock()
	if !dead {
		return nil
	}
	return r.raise("")
}

func (r *role) signal(s syscall.Signal) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.p.running() {
		return nil
	}
	return r.p.cmd.Process.Signal(s)
}

// watch revives processes until ctx is done.
func (a *testbed) watch(ctx context.Context) {
	t := time.NewTicker(500 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		for _, r := range a.roles {
			a.note("revive "+r.name, r.revive())
		}
	}
}

// heal ends every fault: all servers and processes run.
func (a *testbed) heal() {
	for name, b := range a.servers {
		_ = b.signal(syscall.SIGCONT)
		a.note("start "+name, b.start())
	}
	for _, r := range a.roles {
		_ = r.signal(syscall.SIGCONT)
		a.note("raise "+r.name, r.raise(""))
	}
}

// noSlotKey is a mutant of the database, not of the program.
const noSlotKey = "no-slot-key"

func (a *testbed) dropSlotKey() {
	var key string
	require.NoError(a.t, a.shop.db.QueryRow(`SELECT DISTINCT index_name FROM information_schema.statistics
		WHERE table_schema = DATABASE() AND table_name = 'orders' AND column_name = 'live' AND non_unique = 0`).Scan(&key))
	_, err := a.shop.db.Exec(`ALTER TABLE orders DROP INDEX ` + key + `, ADD INDEX ` + key + ` (sale_id, shopper_id, slot, live)`)
	require.NoError(a.t, err)
}
