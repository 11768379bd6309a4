//go:build e2e

package test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/internal/failpoint"
)

// TestFailpoints plays SECKILL_FAULTS_CASES cases {point x action}, drawn by
// SECKILL_FAULTS_SEED from all there are: each a short load with this one
// fault. "all" of them, three times over, are 168 cases.
func TestFailpoints(t *testing.T) {
	seed := number("SECKILL_FAULTS_SEED", 1)
	type combination struct {
		point  failpoint.Point
		action string
	}
	var all []combination
	for _, p := range failpoint.Points {
		for _, action := range []string{"kill", "stop=" + stopFor(), "error", "delay=1s"} {
			all = append(all, combination{p, action})
		}
	}
	rng := rand.New(rand.NewPCG(uint64(seed), 3))
	rng.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	for n := range number("SECKILL_FAULTS_CASES", 20) {
		c := all[n%int64(len(all))]
		s := newSchedule(seed*1000+n, 4*time.Second)
		s.shoppers = 400
		f := armed(rng, c.point, c.action)
		f.at = max(f.at, time.Second/2)
		s.faults = []fault{f}
		t.Run(fmt.Sprintf("%s:%s", c.point.Name, c.action), func(t *testing.T) {
			o := outcome{schedule: s, harness: true}
			defer func() { o.report(t) }()
			o = s.run(t)
			require.Empty(t, o.found, "promises broken with seed %d", seed)
		})
	}
}

// stopFor is how long a stopped process stays so: SECKILL_FAULTS_STOP seconds.
func stopFor() string { return fmt.Sprintf("%ds", number("SECKILL_FAULTS_STOP", 5)) }
