//go:build e2e

package test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/internal/failpoint"
)

// failpointRounds is how often each of the cases {point x action} is played in
// a full run, each time with another seed.
const failpointRounds = 3

// failpointCase returns the case of a number from 1 to failpointCases: a short
// load with this one fault. The number is its seed.
func failpointCase(number int64, stop time.Duration) schedule {
	actions := []string{"kill", "stop=" + stop.String(), "error", "delay=1s"}
	k := int(number-1) % (len(failpoint.Points) * len(actions))
	s := schedule{seed: number, load: 4 * time.Second, shoppers: 400, limit: 60 * time.Second}
	action := actions[k%len(actions)]
	if k%len(actions) == 1 {
		s.stopped = stop
	}
	f := armed(rand.New(rand.NewPCG(uint64(number), 3)), failpoint.Points[k/len(actions)], action, 10)
	f.at = max(f.at, time.Second/2)
	s.faults = []fault{f}
	return s
}

func failpointCases() int64 { return int64(failpointRounds * 4 * len(failpoint.Points)) }

// TestFailpoints plays a case of each failpoint, with kill, stop, error and delay
// in turn. scripts/faults plays SECKILL_FAULTS_CASES cases, one after the other:
// those from number SECKILL_FAULTS_FIRST_CASE on, or, without it, drawn by
// SECKILL_FAULTS_SEED. A stopped process stays so for SECKILL_FAULTS_STOP seconds.
// That no process comes by the point is a failure.
func TestFailpoints(t *testing.T) {
	t.Parallel()
	stop := time.Duration(number("SECKILL_FAULTS_STOP", 5)) * time.Second
	for _, n := range wantedCases() {
		s := failpointCase(n, stop)
		t.Run(fmt.Sprintf("%s of %s", strconv.FormatInt(n, 10), s.faults[0].what), func(t *testing.T) {
			if os.Getenv("SECKILL_FAULTS_DIR") == "" {
				t.Parallel()
			}
			o := outcome{schedule: s, harness: true}
			defer func() { o.report(t) }()
			o = s.run(t)
			require.Empty(t, o.found, "promises broken in case %d", n)
			require.Empty(t, o.missed, "no process came by in case %d", n)
		})
	}
}

func wantedCases() (cases []int64) {
	count := number("SECKILL_FAULTS_CASES", 0)
	if count == 0 {
		for point := range int64(len(failpoint.Points)) {
			cases = append(cases, 1+4*point+point%4)
		}
		return cases
	}
	for n := range failpointCases() {
		cases = append(cases, n+1)
	}
	if first := number("SECKILL_FAULTS_FIRST_CASE", 0); first > 0 {
		cases = cases[min(first-1, failpointCases()):]
	} else {
		rng := rand.New(rand.NewPCG(uint64(number("SECKILL_FAULTS_SEED", 1)), 3))
		rng.Shuffle(len(cases), func(i, k int) { cases[i], cases[k] = cases[k], cases[i] })
	}
	return cases[:min(count, int64(len(cases)))]
}
