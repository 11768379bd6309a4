package model_test

import (
	"os"
	"testing"

	"seckill/internal/testenv"
)

// Who asks: a shopper's second ask without a key is also a retry.
var (
	oneEach   = []ask{{shopper: 0}, {shopper: 1}}
	retry     = []ask{{shopper: 0}, {shopper: 0}, {shopper: 1}}
	retries   = []ask{{shopper: 0}, {shopper: 0}, {shopper: 1}, {shopper: 1}}
	thrice    = []ask{{shopper: 0}, {shopper: 0}, {shopper: 0}}
	alone     = []ask{{shopper: 0}}
	twoKeys   = []ask{{shopper: 0, key: 1}, {shopper: 0, key: 2}, {shopper: 1, key: 1}}
	sameKey   = []ask{{shopper: 0, key: 1}, {shopper: 0, key: 1}}
	keyAgain  = []ask{{shopper: 0, key: 1}, {shopper: 0, key: 2}, {shopper: 0, key: 1}}
	noneAgain = []ask{{shopper: 0}, {shopper: 0, key: 1}, {shopper: 0}}
	large     = []ask{{shopper: 0, units: 2}, {shopper: 1, units: 1}, {shopper: 2, units: 1}}
	collide   = []ask{{shopper: 0, id: 1}, {shopper: 1, id: 1}}
)

// variant returns the configuration with what is left out filled in: one order
// per shopper, one unit per order.
func variant(c config) config {
	c.limit = max(c.limit, 1)
	asks := make([]ask, len(c.asks))
	for i, a := range c.asks {
		a.units = max(a.units, 1)
		asks[i] = a
	}
	c.asks = asks
	return c
}

// variants hold. The small ones are those that run under the race detector too.
var variants = []struct {
	small bool
	config
}{
	{false, config{name: "every fault of the pipeline once", asks: retry, total: 1, repeat: true, left: budget{dup: 1, lostWriteBack: 1, notStored: 1, lateSend: 1, lostAnswer: 1, unknownCommit: 1, brokerLoss: 1, apiCrash: 1, cancel: 1, pay: 1}}},
	{false, config{name: "pipeline, 4 orders, 2 units", asks: retries, total: 2, left: budget{dup: 1, cancel: 1}}},
	{true, config{name: "batches, an unknown commit", asks: retry, total: 2, batches: true, left: budget{dup: 1, unknownCommit: 1, cancel: 1}}},
	{true, config{name: "batches of several units", asks: large, total: 2, batches: true, left: budget{snapshot: 1}}},
	{false, config{name: "Redis older, late send, cancel", asks: retry, total: 1, left: budget{snapshot: 1, lateSend: 1, cancel: 1}}},
	{false, config{name: "Redis older, 2 units, lost write-back, cancel", asks: retry, total: 2, left: budget{snapshot: 1, lostWriteBack: 1, cancel: 1}}},
	{false, config{name: "Redis older, restock, pause", asks: oneEach, total: 1, push: true, left: budget{snapshot: 1, restock: 1, pause: 2}}},
	{false, config{name: "Redis older, pay and cancel with their write-backs", asks: retry, total: 1, push: true, left: budget{snapshot: 1, pay: 1, cancel: 1}}},
	{true, config{name: "Redis older twice", asks: oneEach, total: 1, push: true, left: budget{snapshot: 2, cancel: 1}}},
	{true, config{name: "Redis older, T1 repeated", asks: oneEach, total: 1, repeat: true, left: budget{snapshot: 1, lostAnswer: 1, cancel: 1}}},
	{false, config{name: "marks: commands and write-backs out of order", asks: oneEach, total: 2, push: true, left: budget{lostWriteBack: 1, cancel: 1, pay: 1, restock: 1}}},
	{true, config{name: "marks: pause, restock and orders", asks: oneEach, total: 1, push: true, left: budget{lostWriteBack: 1, restock: 1, pause: 2, unknownCommit: 1}}},
	{false, config{name: "marks: dead entries trimmed, Redis older", asks: oneEach, total: 1, push: true, left: budget{trim: 1, snapshot: 1, cancel: 2, lostWriteBack: 1}}},
	{true, config{name: "dead entries trimmed, duplicates", asks: retry, total: 1, push: true, left: budget{trim: 2, cancel: 1, dup: 1, lostWriteBack: 1}}},
	{true, config{name: "a slow tail, Redis older, cancel", asks: oneEach, total: 1, push: true, left: budget{slowTail: 1, snapshot: 1, cancel: 1}}},
	{true, config{name: "a slow tail, wipe, restock", asks: oneEach, total: 1, push: true, left: budget{slowTail: 2, wipe: 1, cancel: 1, restock: 1}}},
	{false, config{name: "wipe, 2 loaders, cancel", asks: retry, total: 1, left: budget{wipe: 1, secondLoader: 1, cancel: 1}}},
	{true, config{name: "wipe, 2 loaders, marks", asks: oneEach, total: 2, push: true, left: budget{wipe: 1, secondLoader: 1, cancel: 1, lostWriteBack: 1}}},
	{true, config{name: "wipe, restock, pause, a loader crashes", asks: oneEach, total: 1, push: true, left: budget{wipe: 1, restock: 1, pause: 2, loaderCrash: 1}}},
	{true, config{name: "2 wipes, 2 loaders", asks: oneEach, total: 1, left: budget{wipe: 2, secondLoader: 1, cancel: 1}}},
	{false, config{name: "wipe and Redis older", asks: retry, total: 1, left: budget{wipe: 1, snapshot: 1, cancel: 1}}},
	{false, config{name: "pages of a load, 2 wipes, Redis older", asks: oneEach, total: 2, pages: true, left: budget{wipe: 2, snapshot: 1, secondLoader: 1}}},
	{true, config{name: "the sale ends, wipe", asks: oneEach, total: 1, left: budget{end: 1, wipe: 1, notStored: 1, cancel: 1}}},
	{true, config{name: "the sale ends and is unloaded, Redis older", asks: oneEach, total: 1, left: budget{end: 1, unload: 2, snapshot: 1, notStored: 1, cancel: 1}}},
	{true, config{name: "nobody polls: wipe, 2 loaders", asks: oneEach, total: 1, unpolled: true, left: budget{wipe: 1, secondLoader: 1, notStored: 1, lateSend: 1}}},
	{true, config{name: "nobody polls: Redis older, the broker loses", asks: retry, total: 1, unpolled: true, left: budget{snapshot: 1, brokerLoss: 1, notStored: 1, lostWriteBack: 1}}},
	{false, config{name: "answers: Redis older, wipe, cancel", asks: oneEach, total: 1, polls: true, left: budget{snapshot: 1, wipe: 1, cancel: 1}}},
	{true, config{name: "answers: late send, void with its write-back", asks: oneEach, total: 1, polls: true, push: true, left: budget{wipe: 1, lateSend: 1, notStored: 1}}},
	{false, config{name: "2 slots, Redis older, cancel", asks: twoKeys[:2], limit: 2, total: 2, left: budget{snapshot: 1, cancel: 1}}},
	{true, config{name: "2 slots, wipe, cancel", asks: twoKeys, limit: 2, total: 2, left: budget{wipe: 1, cancel: 1}}},
	{true, config{name: "2 slots, a key again, Redis older", asks: keyAgain, limit: 2, total: 3, left: budget{snapshot: 1, cancel: 1}}},
	{false, config{name: "2 slots, no key again, Redis older", asks: noneAgain, limit: 2, total: 3, left: budget{snapshot: 1, cancel: 1}}},
	{true, config{name: "a dead key, trimmed", asks: sameKey, limit: 2, total: 2, left: budget{snapshot: 1, cancel: 1, trim: 1, dup: 1}}},
	{true, config{name: "wipe, T1 repeated, auditor", asks: oneEach, total: 1, repeat: true, auditor: true, left: budget{wipe: 1, lostAnswer: 1, cancel: 1, notStored: 1}}},
	{false, config{name: "a shopper again and again", asks: thrice, total: 1, push: true, left: budget{snapshot: 1, wipe: 1, cancel: 1}}},
	{false, config{name: "one order, nearly everything", asks: alone, total: 1, push: true, left: budget{snapshot: 1, wipe: 1, secondLoader: 1, cancel: 1, dup: 1, lostWriteBack: 1, lateSend: 1}}},
	{false, config{name: "attempts: Redis older, cancels", asks: thrice, total: 1, attempts: 1, push: true, left: budget{snapshot: 1, cancel: 1, opCancel: 1, lostWriteBack: 1}}},
	{true, config{name: "attempts: wipe, 2 loaders, an unknown commit", asks: retry, total: 1, attempts: 1, left: budget{wipe: 1, secondLoader: 1, cancel: 1, unknownCommit: 1}}},
	{false, config{name: "attempts: marks, dead entries trimmed, duplicates", asks: thrice, total: 1, attempts: 2, push: true, left: budget{trim: 1, cancel: 2, dup: 1, lostWriteBack: 1, slowTail: 1}}},
	{true, config{name: "attempts: 2 slots, batches, Redis older", asks: twoKeys[:2], limit: 2, total: 2, attempts: 1, batches: true, left: budget{snapshot: 1, cancel: 1, opCancel: 1}}},
	{true, config{name: "strangers write messages, Redis older, cancel", asks: oneEach, total: 1, left: budget{forged: 2, snapshot: 1, cancel: 1, dup: 1}}},
	{true, config{name: "one ID twice", asks: collide, total: 2, batches: true, left: budget{dup: 1, cancel: 1, notStored: 1, snapshot: 1}}},
}

// larger ones take minutes and up to 2 GB each; they run on demand only.
var larger = []config{
	{name: "two shoppers, nearly everything", asks: oneEach, total: 1, push: true, left: budget{snapshot: 1, wipe: 1, cancel: 1, lostWriteBack: 1, lateSend: 1, restock: 1}},
	{name: "4 orders, Redis older, cancel", asks: retries, total: 2, left: budget{snapshot: 1, cancel: 1}},
	{name: "4 orders, wipe, 2 loaders", asks: retries, total: 1, left: budget{wipe: 1, secondLoader: 1, cancel: 1}},
	{name: "marks, many", asks: oneEach, total: 2, push: true, left: budget{lostWriteBack: 2, cancel: 2, pay: 1, restock: 1, trim: 1}},
	{name: "marks, Redis older, slow tail, trimmed", asks: oneEach, total: 1, push: true, left: budget{snapshot: 1, slowTail: 1, cancel: 2, trim: 1, restock: 1}},
	{name: "a retry, marks, Redis older", asks: retry, total: 1, push: true, left: budget{snapshot: 1, lostWriteBack: 1, cancel: 1, restock: 1}},
	{name: "a retry, wipe, Redis older, slow tail", asks: retry, total: 1, push: true, left: budget{wipe: 1, snapshot: 1, slowTail: 1, cancel: 1}},
	{name: "pages, Redis older, cancel", asks: oneEach, total: 2, pages: true, push: true, left: budget{wipe: 1, snapshot: 1, secondLoader: 1, cancel: 1, loaderCrash: 1}},
	{name: "2 slots, keys, wipe, Redis older", asks: keyAgain, limit: 2, total: 3, push: true, left: budget{wipe: 1, snapshot: 1, cancel: 1, trim: 1}},
	{name: "2 slots, T1 repeated, wipe, auditor", asks: sameKey, limit: 2, total: 2, repeat: true, auditor: true, push: true, left: budget{wipe: 1, snapshot: 1, lostAnswer: 1, cancel: 1, notStored: 1}},
	{name: "answers, nearly everything", asks: oneEach, total: 1, polls: true, push: true, left: budget{snapshot: 1, wipe: 1, lateSend: 1, cancel: 1, pay: 1}},
	{name: "the sale ends, everything is lost", asks: oneEach, total: 1, push: true, left: budget{end: 1, unload: 2, wipe: 1, snapshot: 1, notStored: 1, lateSend: 1, cancel: 1}},
	{name: "attempts, everything is lost", asks: thrice, total: 1, attempts: 1, push: true, left: budget{wipe: 1, snapshot: 1, secondLoader: 1, cancel: 2, opCancel: 1, lostWriteBack: 1, unknownCommit: 1, lateSend: 1}},
	{name: "one ID twice, wipe, batches", asks: []ask{{shopper: 0, id: 1}, {shopper: 1, id: 1}, {shopper: 1}}, total: 2, batches: true, left: budget{wipe: 1, notStored: 1, dup: 1, cancel: 1}},
}

func TestNoStateOfALargerSystemBreaksThePromises(t *testing.T) {
	if os.Getenv("SECKILL_MODEL_LARGE") == "" {
		t.Skip("SECKILL_MODEL_LARGE is not set")
	}
	for _, c := range larger {
		t.Run(c.name, func(t *testing.T) { holds(t, variant(c)) })
	}
}

func TestNoReachableStateBreaksThePromises(t *testing.T) {
	t.Parallel()
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			if !v.small && (testenv.RaceDetector || testing.Short()) {
				t.Skip("large: not under the race detector, not with -short")
			}
			holds(t, variant(v.config))
		})
	}
}

func holds(t *testing.T, c config) {
	t.Helper()
	r := c.explore()
	t.Logf("%d states, %d steps, %d ends, %.1f s", r.states, r.steps, r.ends, r.took.Seconds())
	if r.bad != "" {
		t.Fatal(c.explain(r))
	}
}
