package model_test

import (
	"fmt"
	"os"
	"testing"
)

// mutants break one rule each, and each is caught in its configuration, which
// holds as long as the rule does.
var mutants = []struct {
	rule   string
	broken mutant
	config
}{
	{"no tombstone: R and C are forgotten", noTombstone, config{asks: oneEach, total: 1, push: true, left: budget{cancel: 1}}},
	{"the API gives back when a send times out", givesBackOnTimeout, config{asks: oneEach, total: 1, left: budget{lateSend: 1}}},
	{"no compare-and-set", noCompareAndSet, config{asks: retry, total: 1, left: budget{snapshot: 1, dup: 1}}},
	{"no adopting", noAdopt, config{asks: oneEach, total: 1, left: budget{snapshot: 1}}},
	{"acknowledged before the commit", acknowledgesFirst, config{asks: oneEach, total: 1, unpolled: true, left: budget{snapshot: 1, lostWriteBack: 1}}},
	{"no slot key", noSlotKey, config{asks: retry, total: 2, left: budget{snapshot: 1}}},
	{"no look at the keys of the other slots", noKeyCheck, config{asks: noneAgain, limit: 2, total: 3, left: budget{snapshot: 1}}},
	{"a pending entry keeps its slot when settled in another", keepsPendingSlot, config{asks: twoKeys, limit: 2, total: 2, left: budget{snapshot: 1}}},
	{"refusals rolled back", rollsRefusalsBack, config{asks: retry, total: 1, left: budget{snapshot: 1}}},
	{"the same attempt ID on a retry", sameAttempt, config{asks: oneEach, total: 2, left: budget{unknownCommit: 1}}},
	{"a batch deduplicated by ID only", dedupesByID, config{asks: collide, total: 2, batches: true, unpolled: true, left: budget{wipe: 1}}},
	{"one node ID twice and no collision check", noCollisionCheck, config{asks: collide, total: 2}},
	{"restock without its command ID", noCommandID, config{asks: alone, total: 1, left: budget{restock: 1, unknownCommit: 1}}},
	{"applied moved out of order", cursorJumps, config{asks: oneEach, total: 1, left: budget{restock: 1}}},
	{"the cursor jumps over a change without a mark", jumpsUnmarked, config{asks: oneEach, total: 1, push: true, left: budget{restock: 1, cancel: 1, pay: 1}}},
	{"a change ahead of the cursor is marked, and adopts nothing", aheadAdoptsNot, config{asks: oneEach, total: 2, left: budget{snapshot: 1}}},
	{"a change with a sale effect is marked, its effect left out", marksSaleEffect, config{asks: alone, total: 1, push: true, left: budget{restock: 2}}},
	{"a change with a sale effect is applied ahead", appliesSaleEarly, config{asks: alone, total: 1, push: true, left: budget{pause: 2}}},
	{"dead entries trimmed while a mark is outstanding", trimsWhileMarked, config{asks: alone, total: 1, push: true, left: budget{cancel: 1, trim: 1}}},
	{"a mark that is passed is not deleted", keepsMarks, config{asks: oneEach, total: 2}},
	{"adopting without comparing the sequence", adoptsAlways, config{asks: oneEach, total: 1, left: budget{wipe: 1, cancel: 1}}},
	{"the key dropped when settled", dropsKey, config{asks: sameKey, limit: 2, total: 2}},
	{"a load renamed over an existing meta", renamesOverMeta, config{asks: oneEach, total: 1, unpolled: true, left: budget{wipe: 1, secondLoader: 1, notStored: 1}}},
	{"a load not counted", countsNoLoad, config{asks: oneEach, total: 2, pages: true, left: budget{wipe: 2}}},
	{"a load with a later cursor than its snapshot", loadsWithoutSeq, config{asks: oneEach, total: 1, left: budget{wipe: 1}}},
	{"a void without its row", voidsWithoutTombstone, config{asks: oneEach, total: 1, polls: true, left: budget{wipe: 1, lateSend: 1}}},
	{"a void that does not wait for the consumers", voidsUnpassed, config{asks: oneEach, total: 1, left: budget{wipe: 1}}},
	{"no void for a sale that is over and not loaded", voidsNeverUnloaded, config{asks: oneEach, total: 1, left: budget{end: 1, wipe: 1, notStored: 1}}},
	{"no void where the ID is another order's", voidsNoCollision, config{asks: collide, total: 2, left: budget{snapshot: 1, notStored: 1}}},
	{"no sweeper", noSweeper, config{asks: oneEach, total: 1, left: budget{notStored: 1}}},
	{"no tail", noTail, config{asks: oneEach, total: 1, left: budget{lostWriteBack: 1}}},
	{"no auditor, where a late confirmation finds a T1 repeated after a wipe", noAuditor, config{asks: oneEach, total: 1, repeat: true, auditor: true, left: budget{wipe: 1, lostAnswer: 1, cancel: 1, notStored: 1}}},
	{"Redis does not count what was returned", redisCountsNot, config{asks: retry, total: 1, attempts: 1, left: budget{cancel: 1}}},
	{"Redis adds up what a change counted", redisAddsUp, config{asks: retry, total: 1, attempts: 2, push: true, left: budget{cancel: 1, slowTail: 1}}},
	{"settling does not look at what was returned", settleCountsNot, config{asks: retry, total: 1, attempts: 1, left: budget{snapshot: 1, cancel: 1}}},
	{"a load without the counts", loadsNoCounts, config{asks: retry, total: 1, attempts: 1, left: budget{wipe: 1, cancel: 1}}},
	{"an operator's cancel counts", operatorCounts, config{asks: retry, total: 1, attempts: 1, left: budget{opCancel: 1}}},
	{"a cancel run again counts again", cancelCountsAgain, config{asks: retry, total: 1, attempts: 2, left: budget{cancel: 1, unknownCommit: 1}}},
	{"a message is an order whoever signed it", noMAC, config{asks: oneEach, total: 1, left: budget{forged: 1}}},
}

func TestEveryMutantIsCaught(t *testing.T) {
	t.Parallel()
	for _, m := range mutants {
		t.Run(m.rule, func(t *testing.T) {
			t.Parallel()
			c := variant(m.config)
			c.name = "the true model in this configuration"
			if r := c.explore(); r.bad != "" {
				t.Fatal(c.explain(r))
			}
			c.name, c.broken = m.rule, m.broken
			r := c.explore()
			if r.bad == "" {
				t.Fatalf("survives: %d states, nothing wrong", r.states)
			}
			t.Logf("%s (%d states, %d moves)", r.bad, r.states, len(r.trace))
			if os.Getenv("SECKILL_MODEL_TRACES") != "" {
				fmt.Println(c.explain(r))
			}
		})
	}
}

// Two transactions insert the same primary keys lock by lock, a delivery and
// its redelivery. A deadlock costs a retry and is never wrong, so it is no
// part of the model above.
func TestBatchesInOneOrderCannotDeadlock(t *testing.T) {
	t.Parallel()
	if deadlocks([2]int{1, 2}, [2]int{1, 2}) {
		t.Error("sorted batches wait for each other")
	}
	if !deadlocks([2]int{1, 2}, [2]int{2, 1}) {
		t.Error("the mutant survives: unsorted batches cannot wait for each other")
	}
}

// deadlocks goes through every interleaving of two transactions that lock two
// rows each, in the order given, and commit.
func deadlocks(a, b [2]int) bool {
	keys := [2][2]int{a, b}
	var from func(done [2]int) bool
	from = func(done [2]int) bool {
		waiting := 0
		for me, other := range [2]int{1, 0} {
			switch {
			case done[me] == 2: // committed: its locks are free
				continue
			case done[other] == 1 && keys[other][0] == keys[me][done[me]]:
				waiting++
				continue
			}
			next := done
			next[me]++
			if from(next) {
				return true
			}
		}
		return waiting == 2
	}
	return from([2]int{})
}
