//go:build e2e

package test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestAnUpgradeAndTheWayBackLoseNothing: an older program, SECKILL_FAULTS_OLD,
// has made the database and sells; the schema is migrated under it, each of its
// processes is replaced by this version, and then each of these by the older
// one, which has to read what this one wrote. See scripts/faults --upgrade.
func TestAnUpgradeAndTheWayBackLoseNothing(t *testing.T) {
	old, rev := os.Getenv("SECKILL_FAULTS_OLD"), os.Getenv("SECKILL_FAULTS_OLD_REV")
	if old == "" {
		t.Skip("set SECKILL_FAULTS_OLD to an older program: scripts/faults --upgrade")
	}
	s := schedule{seed: number("SECKILL_FAULTS_SEED", 1), load: 30 * time.Second, shoppers: 2400, limit: 60 * time.Second}
	s.faults = []fault{{what: "upgrade-from-" + rev + "-and-back", at: 2 * time.Second}}
	o := outcome{schedule: s, harness: true}
	defer func() { o.report(t) }()

	present := binary
	defer func() { binary = present }()
	binary = old // makes the database and the sales
	on := own.queue(t)().start(t)
	on.env["SECKILL_MESSAGE_UNSIGNED_UNTIL"] = time.Now().Add(time.Hour).Format(time.RFC3339) // the older one may not sign
	a := newTestbed(t, on, old, false)
	rng := rand.New(rand.NewPCG(uint64(s.seed), 2))
	a.open(rng, s.shoppers, false)
	binary = present

	s.faults[0].begin = func(a *testbed) error {
		if _, code := command(t, a.shop.env, "", "migrate", "up"); code != 0 {
			return fmt.Errorf("migrate up beside the older version: exit %d", code)
		}
		a.rollOver(present)
		time.Sleep(3 * time.Second) // it writes what the older one will read
		a.rollOver(old)
		return nil
	}
	a.play(s, rng)
	begin := time.Now()
	o.found = a.await(s.limit)
	o.healed = time.Since(begin)
	for _, c := range a.crowds {
		o.accepted += len(c.acceptedIDs())
	}
	o.harness = t.Failed()
	require.Empty(t, o.found, "promises broken with seed %d", s.seed)
}
