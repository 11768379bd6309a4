//go:build e2e

package test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// hunted are the mutants that a whole-system run can show, each with the faults
// without which its broken rule is never needed; the rest of a schedule is as
// the seed has it. The others are for the model and the packages' own tests:
// a schedule of a minute does not need the rule, or shows nothing but time lost.
var hunted = map[string][]string{
	noSlotKey:              {"strangers"},
	"api-gives-back":       {"no-answer"},
	"no-compare-and-set":   {"duplicates"},
	"no-adopt":             {"strangers"},
	"ack-before-commit":    {"strangers-killed"},
	"refusals-rolled-back": {"strangers"},
	"same-attempt":         {"duplicates"},
	"dedupe-by-id":         {"strangers"},
	"one-worker-number":    {},
	"out-of-order":         {"strangers-unwritten"},
	"key-dropped":          {},
	"cursor-first":         {"broker-frozen"},
	"no-mac":               {"poison"},
}

// TestMutantsAreCaught runs each mutant until a promise is broken, at most
// SECKILL_FAULTS_TRIES schedules. It takes long: scripts/faults --mutants.
func TestMutantsAreCaught(t *testing.T) {
	wanted := os.Getenv("SECKILL_FAULTS_MUTANTS")
	if wanted == "" {
		t.Skip("set SECKILL_FAULTS_MUTANTS to all, or to names with commas")
	}
	tries := number("SECKILL_FAULTS_TRIES", 20)
	first := number("SECKILL_FAULTS_SEED", 1)
	names := slices.Sorted(maps.Keys(hunted))
	if wanted != "all" {
		names = strings.Split(wanted, ",")
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, hunted, name)
			for try := range tries {
				s := newSchedule(first+try, 8*time.Second, hunted[name]...)
				s.mutant, s.shoppers, s.limit = name, 900, 40*time.Second
				o := outcome{schedule: s, harness: true}
				t.Run(strconv.FormatInt(s.seed, 10), func(t *testing.T) { o = s.run(t) })
				o.report(t)
				if o.found != nil {
					recordMutant(t, name, try+1, o)
					return
				}
			}
			recordMutant(t, name, 0, outcome{})
			t.Errorf("mutant %s lives after %d schedules", name, tries)
		})
	}
}

func recordMutant(t *testing.T, name string, try int64, o outcome) {
	t.Helper()
	path := os.Getenv("SECKILL_FAULTS_MUTANT_RESULTS")
	if path == "" {
		return
	}
	caught, by := "no", ""
	if try > 0 {
		caught, by = strconv.FormatInt(try, 10), o.found[0].kind+": "+o.found[0].what
	}
	line := strings.Join([]string{name, commit(), caught, strconv.FormatInt(o.seed, 10), o.plan(), by}, "\t")
	require.NoError(t, appendLine(path, "mutant\tcommit\tcaught_in_schedule\tseed\tfaults\tby", line))
	fmt.Fprintf(os.Stdout, "%s  mutant %s: caught in schedule %s  %s\n", time.Now().Format(time.TimeOnly), name, caught, by)
}
