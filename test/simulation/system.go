package simulation

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"seckill/order"
	"seckill/order/memory"
	"seckill/reconcile"
	"seckill/stock"
	"seckill/test/promise"
)

// system is one simulated system: the servers, the processes and the shoppers.
type system struct {
	plan    plan
	program Program
	trace   *trace
	coins   coins

	store  *memory.Store
	redis  *node
	broker *broker
	client *redis.Client // the checker's and the operator's, without faults
	ledger *stock.Ledger
	ids    *order.IDMaker // of orders that no API made
	crowd  *crowd
	topic  *topic

	healed, over      atomic.Bool
	injected, crashes atomic.Int64

	mu      sync.Mutex
	current map[string]*process
	rests   map[string]time.Duration // before a dead process is started again
	ended   []<-chan struct{}
	keepers sync.WaitGroup
	errs    []string
}

const (
	healWithin = 75 * time.Second
	calm       = time.Second
	opening    = 5 * time.Second // from the start of the processes
)

// Run simulates a seed. Call it in a bubble of testing/synctest.
func Run(seed uint64, program Program) (Result, error) {
	// The bubble begins in 2000, order IDs in 2025.
	time.Sleep(time.Until(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)))
	w := &system{
		plan: newPlan(seed), program: program, store: memory.NewStore(), trace: &trace{begin: time.Now().Add(opening)},
		current: map[string]*process{}, rests: map[string]time.Duration{}, topic: &topic{reader: promise.NewReader()},
	}
	w.coins = make(coins, len(w.plan.faults))
	if err := w.build(); err != nil {
		return Result{}, err
	}
	defer w.tearDown()
	if err := w.open(); err != nil {
		return Result{}, err
	}
	w.play()
	breaches, healed := w.heal()
	return Result{
		Seed: seed, Plan: w.plan.String(), Breaches: append(breaches, w.errs...), Trace: w.trace.String(), Accepted: w.crowd.accepted(),
		Injected: int(w.injected.Load()), Crashes: int(w.crashes.Load()), Healed: healed,
	}, nil
}

func (w *system) build() (err error) {
	if w.redis, err = newNode(); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	checker := &process{w: w, name: "checker"}
	checker.ctx, checker.kill = context.WithCancel(context.Background())
	w.client = redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379", Dialer: w.dialer(checker), MaxRetries: 2, DisableIdentity: true})
	w.ledger = stock.New(w.client)
	w.broker = newBroker(w, w.plan.queues)
	worker, err := w.store.NextNodeID(context.Background())
	if err != nil {
		return fmt.Errorf("node ID: %w", err)
	}
	w.ids = order.NewIDMaker(worker)
	w.crowd = newCrowd(w)
	for i, t := range w.plan.sales {
		if _, err := w.store.CreateSale(context.Background(), saleOf(sales[i], t)); err != nil {
			return fmt.Errorf("sale: %w", err)
		}
	}
	return nil
}

func (w *system) dialer(p *process) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) { return w.redis.dial(p) }
}

// open starts the processes, which sell by the time at which the simulation begins.
func (w *system) open() error {
	for _, name := range processes {
		w.keepers.Go(func() { w.keep(name) })
	}
	time.Sleep(time.Until(w.trace.begin))
	ms, err := w.ledger.Metas(context.Background(), sales[:])
	if err != nil || !ms[0].Loaded || !ms[1].Loaded || !w.ready() {
		return fmt.Errorf("the sales are not open: %+v, %w", ms, err)
	}
	return nil
}

// ready reports whether all processes are there and the APIs sell.
func (w *system) ready() bool {
	for _, name := range processes {
		if p := w.alive(name); p == nil || !p.ready() {
			return false
		}
	}
	return true
}

// keep starts a process again and again until the simulation is over.
func (w *system) keep(name string) {
	time.Sleep(w.plan.starts[name])
	for life := uint64(0); !w.over.Load(); life++ {
		p, err := w.start(name, life)
		if err != nil {
			w.failf("%s does not start: %v", name, err)
			return
		}
		<-p.ctx.Done()
		if w.over.Load() {
			return
		}
		w.mu.Lock()
		rest := w.rests[name]
		w.mu.Unlock()
		time.Sleep(rest)
	}
}

func (w *system) start(name string, life uint64) (*process, error) {
	wire := rand.New(rand.NewPCG(w.plan.seed, 10*life+uint64(slices.Index(processes, name))))
	p := &process{w: w, name: name, ready: func() bool { return true }, wire: wire}
	p.ctx, p.kill = context.WithCancel(context.Background())
	servers := Servers{
		Orders: &store{w.store, p}, Queue: &Member{w.broker, p}, Dial: w.dialer(p), Hook: hook{p},
		Skew: w.plan.skews[name], Log: slog.New(logTo{trace: w.trace, who: name}),
	}
	var run func(context.Context) error
	var err error
	if name[0] == 'a' {
		var a API
		a, err = w.program.API(servers)
		p.handler, p.ready, run = a.Handler, a.Ready, a.Run
	} else {
		run, err = w.program.Consumer(servers)
	}
	if err != nil {
		return nil, err
	}
	done := make(chan struct{})
	w.mu.Lock()
	w.current[name] = p
	w.ended = append(w.ended, done)
	if w.over.Load() {
		p.kill()
	}
	w.mu.Unlock()
	go func() {
		defer close(done)
		if err := run(p.ctx); err != nil && !p.gone() {
			w.failf("%s ended: %v", name, err)
		}
	}()
	w.trace.notef(name, "starts")
	return p, nil
}

func (w *system) failf(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errs = append(w.errs, fmt.Sprintf(format, args...))
}

// alive returns the process under a name, nil while it is dead.
func (w *system) alive(name string) *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p := w.current[name]; p != nil && !p.gone() {
		return p
	}
	return nil
}

// tearDown ends everything, so that the bubble can end.
func (w *system) tearDown() {
	w.over.Store(true)
	w.mu.Lock()
	for _, p := range w.current {
		p.kill()
	}
	w.mu.Unlock()
	w.keepers.Wait()
	for _, done := range w.ended {
		<-done
	}
	_ = w.client.Close()
	w.redis.mini.Close()
	time.Sleep(calm) // go-redis rests before it sees that a subscription was closed
}

// moment is one at which the simulation does something.
type moment struct {
	at time.Duration
	do func()
}

// play runs the load and the faults until the load is over.
func (w *system) play() {
	var buying, operating sync.WaitGroup
	for _, c := range w.plan.visitors {
		buying.Go(func() { w.crowd.arrive(c) })
	}
	events := w.events(&operating)
	slices.SortStableFunc(events, func(a, b moment) int { return int(a.at - b.at) })
	for _, e := range events {
		time.Sleep(time.Until(w.trace.begin.Add(e.at)))
		e.do()
	}
	time.Sleep(time.Until(w.trace.begin.Add(w.plan.load)))
	w.healed.Store(true)
	for _, name := range processes {
		if p := w.alive(name); p != nil {
			p.killLater(fault{})
		}
	}
	w.trace.notef("system", "the faults are over")
	w.crowd.close()
	buying.Wait()
	operating.Wait()
}

// events are the faults of a moment, and the beginnings and ends of some others.
func (w *system) events(operating *sync.WaitGroup) (es []moment) {
	on := func(at time.Duration, do func()) { es = append(es, moment{min(at, w.plan.load), do}) }
	for i, f := range w.plan.faults {
		note := func(do func()) func() { return func() { w.trace.notef("system", "%s", f); do() } }
		switch f.kind {
		case crash:
			on(f.at, note(func() { w.killLater(f.who, f) }))
		case powerCut:
			on(f.at, note(func() {
				for _, name := range processes {
					w.killLater(name, f)
				}
			}))
		case redisFlush:
			on(f.at, note(func() { w.redis.mini.FlushAll() }))
		case redisRestart:
			on(f.at, note(w.restartRedis))
		case redisOlder:
			var held content
			on(max(0, f.at-f.delay), func() { held = w.snapshot() })
			on(f.at, note(func() { w.restore(held) }))
		case redisClock:
			on(f.at, note(func() { w.redis.setClock(f.delay) }))
			on(f.at+f.span, func() { w.redis.setClock(0) })
		case strangers:
			on(f.at, note(func() {}))
			for n := range f.n {
				on(f.at+time.Duration(n)*f.delay, func() { w.stranger(n, i) })
			}
		case double:
			on(f.at, note(w.double))
		case poison:
			on(f.at, note(func() { w.poison(f.n) }))
		case pause:
			on(f.at, note(func() { w.move(fmt.Sprint("pause-", i), order.SalePaused) }))
			on(f.at+f.span, func() { w.move(fmt.Sprint("resume-", i), order.SaleOpen) })
		case restock:
			on(f.at, note(func() { w.restock(i, f.n) }))
		case rebuild:
			on(f.at, note(func() { operating.Go(w.rebuild) }))
		}
	}
	return es
}

// killLater makes a process die within the next calls; keep starts it again.
func (w *system) killLater(name string, f fault) {
	w.mu.Lock()
	w.rests[name] = f.delay
	w.mu.Unlock()
	if p := w.alive(name); p != nil {
		p.killLater(f)
	}
}

func (w *system) restartRedis() {
	w.client.ScriptFlush(context.Background())
	w.redis.drop(nil)
}

func (w *system) snapshot() content {
	synctest.Wait()
	held, err := w.redis.content()
	if err != nil {
		w.failf("snapshot: %v", err)
	}
	return held
}

func (w *system) restore(held content) {
	synctest.Wait()
	if err := w.redis.restore(held); err != nil {
		w.failf("restore: %v", err)
	}
	w.restartRedis()
}

// move, restock and rebuild are the operator's.
func (w *system) move(cmd string, to order.SaleState) {
	if _, err := w.store.SetSaleState(context.Background(), cmd, sales[0], to); err != nil {
		w.trace.notef("operator", "%s: %v", cmd, err)
	}
}

func (w *system) restock(i, units int) {
	if _, err := w.store.Operate(context.Background(), order.Operation{Command: fmt.Sprint("restock-", i), SaleID: sales[1], Action: order.Restocking(units)}); err != nil {
		w.failf("restock: %v", err)
	}
}

func (w *system) rebuild() {
	log := slog.New(logTo{trace: w.trace, who: "operator"})
	operator := &process{w: w, name: "operator", ctx: context.Background(), wire: rand.New(rand.NewPCG(w.plan.seed, 1))}
	loader := reconcile.NewLoader(w.store, w.store, w.ledger, &Member{w.broker, operator}, log)
	did, err := reconcile.NewRebuilder(w.store, w.ledger, loader).Rebuild(context.Background(), sales[1])
	w.trace.notef("operator", "rebuild: %+v %v", did, err)
}
