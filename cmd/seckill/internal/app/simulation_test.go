package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"seckill/api"
	"seckill/internal/config"
	"seckill/internal/testenv"
	"seckill/order"
	"seckill/queue"
	"seckill/test/simulation"
)

// TestEveryPromiseHoldsInASimulation runs the whole program, wired as in production,
// through SECKILL_SIM_SEEDS seeds from SECKILL_SIM_SEED on. It stands here, and not
// in test/simulation, because it puts the roles together itself and drives parts of
// them that nothing else may see: clocks, readiness, limits.
func TestEveryPromiseHoldsInASimulation(t *testing.T) {
	t.Parallel()
	seeds := uint64(simulatedSeeds)
	if testenv.RaceDetector || testing.Short() {
		seeds = fewSeeds
	}
	run := &summary{count: setting(t, "SECKILL_SIM_SEEDS", seeds), first: setting(t, "SECKILL_SIM_SEED", 1), begin: time.Now()}
	program := simulated(t)
	t.Cleanup(func() { run.report(t) })
	for seed := run.first; seed < run.first+run.count; seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r, err := simulation.Run(seed, program)
				require.NoError(t, err)
				run.note(r)
				if len(r.Breaches) > 0 {
					t.Errorf("%s\n\nplan: %s\n\n%s\n\nagain: scripts/faults --simulate 1 --seed %d", strings.Join(r.Breaches, "\n"), r.Plan, r.Trace, seed)
				}
			})
		})
	}
}

// summary adds up the results of many seeds.
type summary struct {
	first, count uint64
	begin        time.Time

	mu                                         sync.Mutex
	seeds, failed, accepted, injected, crashes int
	slowest                                    time.Duration // to heal
}

const (
	simulatedSeeds = 200 // default
	fewSeeds       = 50  // the same with -short, and under the race detector: each takes four times as long
	progressEvery  = 500
)

func (s *summary) note(r simulation.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seeds++
	if len(r.Breaches) > 0 {
		s.failed++
	}
	s.accepted += r.Accepted
	s.injected += r.Injected
	s.crashes += r.Crashes
	s.slowest = max(s.slowest, r.Healed)
	if s.count > progressEvery && s.seeds%progressEvery == 0 {
		fmt.Fprintf(os.Stderr, "%d of %d seeds, %d failed\n", s.seeds, s.count, s.failed)
	}
}

// report logs the sums and, where SECKILL_SIM_RESULTS names a file, adds a line
// to it.
func (s *summary) report(t *testing.T) {
	took := time.Since(s.begin).Round(time.Second)
	t.Logf("%d seeds from %d in %s: %d failed; %d orders accepted, %d calls went wrong, %d crashes, slowest to heal %s",
		s.seeds, s.first, took, s.failed, s.accepted, s.injected, s.crashes, s.slowest)
	path := os.Getenv("SECKILL_SIM_RESULTS")
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0) // made with its header by scripts/faults
	require.NoError(t, err)
	defer f.Close()
	_, err = fmt.Fprintf(f, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%.0f\t%.0f\n", os.Getenv("SECKILL_SIM_COMMIT"),
		s.first, s.seeds, s.failed, s.accepted, s.injected, s.crashes, s.slowest.Seconds(), took.Seconds())
	require.NoError(t, err)
}

func setting(t *testing.T, name string, def uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return def
	}
	n, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err, name)
	return n
}

// simulated is the program, its roles wired as they are on real servers.
func simulated(t *testing.T) simulation.Program {
	t.Helper()
	cfg, err := DevConfig()
	require.NoError(t, err)
	mint, err := NewMinter(ShopperTokens(cfg), time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))
	require.NoError(t, err)
	signer, err := newSigner(cfg)
	require.NoError(t, err)
	tokens := map[string]string{}
	for i := range simulation.Shoppers {
		shopper := "shopper-" + strconv.Itoa(i)
		tokens[shopper], err = mint(shopper)
		require.NoError(t, err)
	}
	return simulation.Program{
		API:      func(s simulation.Servers) (simulation.API, error) { return simulatedAPI(cfg, s) },
		Consumer: func(s simulation.Servers) (func(context.Context) error, error) { return simulatedConsumer(cfg, s) },
		Token:    func(shopper string) string { return tokens[shopper] },
		Secret:   cfg.API.PaymentSecrets[0],
		Signer:   signer,
	}
}

func simulatedAPI(cfg config.Config, s simulation.Servers) (simulation.API, error) {
	b, err := simulatedBackend(cfg, s)
	if err != nil {
		return simulation.API{}, err
	}
	role, opts, err := prepareAPIRole(cfg, b, prometheus.NewRegistry(), s.Log)
	if err != nil {
		return simulation.API{}, err
	}
	opts.IDs = skewedIDs{role.ids, s.Skew}
	role.server = api.New(opts)
	return simulation.API{
		Handler: role.server.Handler(),
		Ready: func() bool {
			return role.ready() == nil && role.gate(context.Background(), 0) == nil && len(openBreakers(role.breakers()...)) == 0
		},
		Run: func(ctx context.Context) error {
			g, ctx := role.work(ctx)
			<-ctx.Done()
			role.collector.Close()
			err := ignoreCanceled(g.Wait())
			role.lookup.Close()
			return errors.Join(err, b.redis.Close())
		},
	}, nil
}

func simulatedConsumer(cfg config.Config, s simulation.Servers) (func(context.Context) error, error) {
	b, err := simulatedBackend(cfg, s)
	if err != nil {
		return nil, err
	}
	consumer, err := newConsumerRole(cfg, b, prometheus.NewRegistry(), s.Log)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		restless, stop := context.WithCancel(ctx)
		var resizing sync.WaitGroup
		resizing.Go(func() { consumer.resizeForEver(restless, cfg) })
		err := consumer.run(ctx)
		stop()
		resizing.Wait()
		return errors.Join(err, b.redis.Close())
	}, nil
}

// resizeForEver changes the limits all the time, as operators may. It does the same
// for each seed.
func (c *ConsumerRole) resizeForEver(ctx context.Context, cfg config.Config) {
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(70 * time.Millisecond):
		}
		cfg.Consumer.Workers = 1 + i%4
		cfg.Consumer.DrainRate = []float64{0, 500, 60}[i%3]
		c.apply(cfg, 1)
	}
}

func simulatedBackend(cfg config.Config, s simulation.Servers) (*backend, error) {
	cfg.Redis.Addrs = []string{"127.0.0.1:6379"}
	opts, err := redisOptions(cfg.Redis)
	if err != nil {
		return nil, err
	}
	opts.Dialer = s.Dial
	opts.PoolSize = 1000 // who waits for a connection shares a timer with other bubbles
	rdb := redis.NewUniversalClient(opts)
	rdb.AddHook(s.Hook)
	return &backend{redis: rdb, store: s.Orders, queue: simulatedQueue{s.Queue}}, nil
}

// skewedIDs makes the IDs of a process whose clock is wrong.
type skewedIDs struct {
	ids   *idSource
	ahead time.Duration
}

func (s skewedIDs) Next() (order.ID, error) {
	id, err := s.ids.Next()
	return id + order.ID(s.ahead.Milliseconds()<<22), err
}

type simulatedQueue struct{ *simulation.Member }

func (q simulatedQueue) publisher(o publisherOptions) (publisher, error) {
	return simulatedPublisher{q.Member, o}, nil
}

func (q simulatedQueue) subscriber(o subscriberOptions) (subscriber, error) {
	return simulatedSubscriber{q.Member, o.handle, o.drain}, nil
}

func (q simulatedQueue) events() (eventTopic, error) { return simulatedTopic(q), nil }

type simulatedTopic struct{ *simulation.Member }

func (t simulatedTopic) Publish(ctx context.Context, ms []queue.EventMessage) error {
	return t.PublishEvents(ctx, ms)
}

func (simulatedTopic) Close(context.Context) error { return nil }

type simulatedPublisher struct {
	*simulation.Member

	opts publisherOptions
}

func (p simulatedPublisher) Publish(ctx context.Context, o order.Order) error {
	return p.opts.guard(func() error { return p.Member.Publish(ctx, o.ID, p.opts.signer.Append(nil, o)) })
}

func (simulatedPublisher) Close(context.Context) error { return nil }

type simulatedSubscriber struct {
	*simulation.Member

	handle func(context.Context, []queue.Message) error
	drain  time.Duration
}

func (s simulatedSubscriber) Run(ctx context.Context) error { return s.Consume(ctx, s.handle, s.drain) }
