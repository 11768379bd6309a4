//go:build e2e

package test

import (
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The flood: ten times what the consumer is let settle. Two seconds' worth may
// wait.
const (
	floodDrain   = 100 // orders a second
	floodTimes   = 10
	floodFor     = 12 * time.Second
	floodBacklog = 2 * floodDrain
)

// flood is a crowd that arrives at a constant rate, whether or not it gets answers,
// and does not try again.
type flood struct {
	*crowd
	mu       sync.Mutex
	accepted []time.Duration // how long each answer took
	refused  []time.Duration
	odd      map[string]int // answers that should not be
}

func (f *flood) arrive(n int, perSecond float64) (took time.Duration) {
	var wg sync.WaitGroup
	begin := time.Now()
	for i := range n {
		time.Sleep(time.Until(begin.Add(time.Duration(float64(i) / perSecond * float64(time.Second)))))
		wg.Go(func() { f.once(i) })
	}
	took = time.Since(begin)
	wg.Wait()
	return took
}

func (f *flood) once(i int) {
	start := time.Now()
	a, err := f.ask(i, http.MethodPost, "/v1/sales/"+f.sale+"/orders", `{"quantity":1}`)
	took := time.Since(start)
	f.mu.Lock()
	defer f.mu.Unlock()
	polite := slices.Contains([]string{"backlog", "overloaded", "rate-limited"}, a.body.Code) && a.header.Get("Retry-After") != ""
	switch {
	case err != nil:
		f.odd["no answer"]++
	case a.status == http.StatusAccepted:
		f.accepted = append(f.accepted, took)
		f.addAccepted(a.body.ID, i)
	case polite && (a.status == http.StatusServiceUnavailable || a.status == http.StatusTooManyRequests):
		f.refused = append(f.refused, took)
	default:
		f.odd[strconv.Itoa(a.status)+" "+a.body.Code]++
	}
}

func TestTenTimesTheDrainIsRefusedAndNothingGrows(t *testing.T) {
	env := sharedServers(t)
	env["SECKILL_DRAIN_RATE"], env["SECKILL_BACKLOG_LIMIT"] = strconv.Itoa(floodDrain), strconv.Itoa(floodBacklog)
	s := newShop(t, env, 2, 1)
	const rate = floodTimes * floodDrain
	n := int(rate * floodFor.Seconds())
	f := &flood{crowd: s.newSale(saleTerms{stock: n + late}, n+late), odd: map[string]int{}}
	// The answers of all other tests are held against the document; here that would take what is measured.
	pipes := &http.Transport{MaxIdleConnsPerHost: 2 * rate}
	f.client.Transport = pipes
	ps := append(slices.Clone(s.apis), s.consumers...)
	before := make([]float64, len(ps))
	for i, p := range ps {
		before[i] = p.metric(t, "go_goroutines")
	}

	stop := make(chan struct{})
	var seen [][]vitals
	var waited float64
	var watching sync.WaitGroup
	watching.Go(func() { seen, waited = watchVitals(t, ps, stop) })
	took := f.arrive(n, rate)
	over := time.Now()
	close(stop)
	watching.Wait()
	require.Less(t, took, floodFor*12/10, "the flood was none: this machine could not send it")

	t.Run("every request is answered", func(t *testing.T) {
		require.Empty(t, f.odd)
		require.Equal(t, n, len(f.accepted)+len(f.refused))
		a, r := centile(f.accepted, 99), centile(f.refused, 99)
		t.Logf("%d accepted, p99 %s; %d refused, p99 %s; at most %.0f waited", len(f.accepted), a, len(f.refused), r, waited)
		require.Less(t, a, 2*time.Second, "p99 of the accepted")
		require.Less(t, r, 2*time.Second, "p99 of the refused")
		require.Greater(t, len(f.accepted), n/floodTimes/2, "what can be settled is accepted")
		require.Less(t, len(f.accepted), n/2)
		require.Less(t, waited, float64(4*floodBacklog), "no hidden queue")
	})
	t.Run("shoppers are served again within seconds", func(t *testing.T) { f.recovered(t, n, over) })
	t.Run("memory and goroutines are flat", func(t *testing.T) {
		for i, p := range ps {
			flat(t, p.args[0], seen[i])
			pipes.CloseIdleConnections()
			require.Eventually(t, func() bool { return p.metric(t, "go_goroutines") <= before[i]+30 },
				20*time.Second, 500*time.Millisecond, "%s keeps goroutines: %.0f before", p.args[0], before[i])
		}
	})
	f.await(t, 60*time.Second)
	f.proveInvariants(t, n+late, 1)
}

// late is how many shoppers arrive after the flood.
const late = 60

// recovered has shoppers arrive one after the other: the first is accepted within
// seconds, and the following orders are settled as fast as ever.
func (f *flood) recovered(t *testing.T, first int, over time.Time) {
	t.Helper()
	i, served := first, 0
	for ; served == 0; i++ {
		require.Less(t, i, first+late/2, "nobody is accepted %s after the flood", time.Since(over))
		a, err := f.ask(i, http.MethodPost, "/v1/sales/"+f.sale+"/orders", `{}`)
		require.NoError(t, err)
		if a.status == http.StatusAccepted {
			f.addAccepted(a.body.ID, i)
			served++
			continue
		}
		time.Sleep(250 * time.Millisecond)
	}
	again := time.Since(over)
	time.Sleep(4 * floodBacklog / floodDrain * time.Second) // what is left has been settled
	var took []time.Duration
	for ; i < first+late; i++ {
		start := time.Now()
		a, err := f.ask(i, http.MethodPost, "/v1/sales/"+f.sale+"/orders", `{}`)
		require.NoError(t, err)
		require.Equal(t, http.StatusAccepted, a.status, a.body.Code)
		f.addAccepted(a.body.ID, i)
		b, err := f.ask(i, http.MethodGet, a.header.Get("Location")+"?wait=10s", "")
		require.NoError(t, err)
		require.Equal(t, "confirmed", b.orderStatus())
		took = append(took, time.Since(start))
	}
	t.Logf("accepted again %s after the flood; then confirmed after %s (median)", again, medianOf(took))
	require.Less(t, again, 8*time.Second)
	require.Less(t, medianOf(took), 500*time.Millisecond)
}

func centile(ds []time.Duration, p int) time.Duration {
	if len(ds) == 0 {
		return 0
	}
	slices.Sort(ds)
	return ds[min(len(ds)*p/100, len(ds)-1)]
}
