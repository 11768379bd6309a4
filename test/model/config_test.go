package model_test

// ask is an order that a shopper will ask for. Its place in the configuration
// is its ID, unless another order has it too.
type ask struct {
	shopper uint8
	key     uint8 // 0: no Idempotency-Key
	units   int8
	id      uint8 // 0: its own; the same number: the same ID
}

// config is one small system: who orders what, which faults may happen, and
// which rule, if any, is broken.
type config struct {
	name  string
	asks  []ask
	total int8
	limit uint8 // orders per shopper
	left  budget

	attempts uint8 // orders that a shopper may return before no more are sold to them; 0: any number

	polls    bool // polls are shown, and what they said is remembered
	unpolled bool // nobody polls: no resolver, what is owed must come by itself
	batches  bool // two orders in one transaction
	pages    bool // a load is written one order at a time, else at once
	auditor  bool // the pass over the entries in Redis
	repeat   bool // the API repeats an unknown T1 with the same ID
	push     bool // who commits a command, a payment or a void also writes back

	broken mutant
}

// budget bounds the faults and the outside events of a run.
type budget struct {
	dup, lostWriteBack, notStored, lateSend, lostAnswer, unknownCommit, brokerLoss, apiCrash uint8
	cancel, opCancel, pay, restock, pause, end, unload, trim, forged                         uint8
	snapshot, wipe, secondLoader, loaderCrash, slowTail                                      uint8
}

// mutant breaks one rule of the protocol.
type mutant uint8

const (
	asBuilt mutant = iota
	noTombstone
	givesBackOnTimeout
	noCompareAndSet
	noAdopt
	acknowledgesFirst
	noSlotKey
	noKeyCheck
	keepsPendingSlot
	rollsRefusalsBack
	sameAttempt
	dedupesByID
	noCollisionCheck
	noCommandID
	cursorJumps
	jumpsUnmarked
	aheadAdoptsNot
	marksSaleEffect
	appliesSaleEarly
	trimsWhileMarked
	keepsMarks
	adoptsAlways
	dropsKey
	renamesOverMeta
	countsNoLoad
	loadsWithoutSeq
	voidsWithoutTombstone
	voidsUnpassed
	voidsNeverUnloaded
	voidsNoCollision
	noSweeper
	noTail
	noAuditor
	redisCountsNot
	redisAddsUp
	settleCountsNot
	loadsNoCounts
	operatorCounts
	cancelCountsAgain
	noMAC
)

func (c *config) is(m mutant) bool { return c.broken == m }

func (c *config) sameID(i, j int) bool {
	return i == j || c.asks[i].id != 0 && c.asks[i].id == c.asks[j].id
}

func (c *config) sameShopper(i, j int) bool { return c.asks[i].shopper == c.asks[j].shopper }
