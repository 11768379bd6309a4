//go:build e2e

package test

import (
	"cmp"
	"math/rand/v2"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestRollingRestarts ends and starts every process in turn under load,
// SECKILL_FAULTS_ROUNDS times: each must end cleanly, and nothing be lost.
func TestRollingRestarts(t *testing.T) {
	rounds := number("SECKILL_FAULTS_ROUNDS", 1)
	on := &servers{env: beside(t)}
	seed := number("SECKILL_FAULTS_SEED", 1)
	for round := range rounds {
		t.Run(strconv.FormatInt(round+1, 10), func(t *testing.T) {
			s := schedule{seed: seed + round, load: 8 * time.Second, shoppers: 800, limit: 60 * time.Second}
			rng := rand.New(rand.NewPCG(uint64(s.seed), 2))
			a := newTestbed(t, on, binary, false)
			a.open(rng, s.shoppers, false)
			var restarting sync.WaitGroup
			restarting.Go(func() {
				time.Sleep(time.Second)
				a.rollOver("")
			})
			a.play(s, rng)
			restarting.Wait()
			begin := time.Now()
			found := a.await(s.limit)
			require.Empty(t, found, "promises broken with seed %d", s.seed)
			t.Logf("healed in %s", time.Since(begin))
		})
	}
}

// rollOver asks each process to end, which it must do in order, and starts it
// again before it goes on to the next; as the program at path, if that is not "".
func (a *testbed) rollOver(path string) {
	for _, r := range a.roles {
		code, err := r.restart(20*time.Second, path)
		a.note("restart "+r.name, err)
		if code != 0 {
			a.t.Errorf("exit code of %s after SIGTERM: %d", r.name, code)
		}
	}
}

// restart asks the process to end, starts it again, as the program at path if
// that is not "", waits until it is ready, and returns its exit code.
func (r *role) restart(patience time.Duration, path string) (code int, err error) {
	r.down(syscall.SIGTERM, patience)
	code = r.p.cmd.ProcessState.ExitCode()
	r.p.path = cmp.Or(path, r.p.path)
	err = r.raise("")
	for range 500 {
		if r.p.ready() {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return code, err
}
