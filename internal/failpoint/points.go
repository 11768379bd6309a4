// Package failpoint breaks the program on purpose, for the fault suite: Hit is
// a place at which a process can be made to die, stop, fail or dawdle, Broken
// is a rule of the order protocol that can be switched off, and Script is a Lua
// script in which one can be. All of it exists only under the build tag
// `failpoint`; without the tag the three are empty, inlined and gone from the
// program, whatever its environment says.
package failpoint

// Point is a place between two steps at which a fault is worst.
type Point struct {
	Name string
	Role string // the process that comes by: api or consumer
	What string // where it is
}

// The points, for Hit.
const (
	BeforeReserve = "api.before-reserve"
	AfterReserve  = "api.after-reserve"
	AfterSend     = "api.after-send"
	BeforeAnswer  = "api.before-202"

	Delivered       = "consumer.entry"
	Merged          = "consumer.merged"
	BeforeCommit    = "consumer.before-commit"
	AfterCommit     = "consumer.after-commit"
	BeforeAck       = "consumer.before-ack"
	BeforeWriteBack = "consumer.before-writeback"

	Claimed      = "sweeper.claimed"
	VerdictRead  = "sweeper.verdict"
	BeforeApply  = "sweeper.before-apply"
	BeforeRename = "rebuild.before-rename"

	EventsSent = "events.sent"
)

// Points is the table of all points.
var Points = []Point{
	{BeforeReserve, "api", "a batch of reservations is about to be asked of Redis"},
	{AfterReserve, "api", "Redis has reserved a batch, the process does not know yet"},
	{AfterSend, "api", "the broker has stored a batch, its answer is not read yet; error: it never is"},
	{BeforeAnswer, "api", "reserved and sent, the 202 is not written"},
	{Delivered, "consumer", "a delivery has arrived, nothing is decoded"},
	{Merged, "consumer", "deliveries are merged into a batch, no transaction has begun"},
	{BeforeCommit, "consumer", "all statements of a transaction are done, COMMIT is not sent"},
	{AfterCommit, "consumer", "committed, the process does not know yet; error: the outcome is unknown"},
	{BeforeAck, "consumer", "each order of a delivery has its verdict, nothing is acknowledged"},
	{BeforeWriteBack, "consumer", "committed, Redis is not told; error: it is not told"},
	{Claimed, "consumer", "the sweeper holds due orders, their verdicts are not read"},
	{VerdictRead, "consumer", "the sweeper has read the verdicts and not acted on them"},
	{BeforeApply, "consumer", "the sweeper is about to replay decided orders to Redis"},
	{BeforeRename, "consumer", "a sale is written beside its place in Redis, not renamed into it"},
	{EventsSent, "consumer", "a page of order events is stored, its cursor is not moved"},
}

// Mutant is a program that breaks one rule of the order protocol.
type Mutant struct {
	Name   string
	Breaks string // what it does instead
	Script string // the Lua script it changes, or ""
	Old    string // text that stands in the script exactly once
	New    string
}

// The mutants that are switched in Go, for Broken; the others are in Mutants
// alone.
const (
	APIGivesBack    = "api-gives-back"
	AckBeforeCommit = "ack-before-commit"
	RefusalsVanish  = "refusals-rolled-back"
	SameAttempt     = "same-attempt"
	DedupeByID      = "dedupe-by-id"
	RestockTwice    = "restock-without-command"
	UnsortedBatches = "unsorted-batches"
	OneWorkerNumber = "one-worker-number"
	CursorFirst     = "cursor-first"
)

// Mutants is the table of all mutants. Two more of the protocol's list are no
// switch of the program: without the slot key is a dropped index.
var Mutants = []Mutant{
	{
		Name: "no-tombstone", Breaks: "rejected and cancelled orders are forgotten at once",
		Script: "apply", Old: "local ahead_most, dead_most = 1000, 4", New: "local ahead_most, dead_most = 1000, 0",
	},
	{Name: APIGivesBack, Breaks: "the API gives the units back when a send was not acknowledged"},
	{
		Name: "no-compare-and-set", Breaks: "a confirmation settles an entry that is settled already",
		Script: "apply", Old: "if e and e.state == 'P' then", New: "if e and live(e) then",
	},
	{
		Name: "no-adopt", Breaks: "a committed order that Redis has lost is not adopted",
		Script: "apply", Old: "elseif not e and first_time then", New: "elseif false then",
	},
	{Name: AckBeforeCommit, Breaks: "a delivery is acknowledged before its orders are committed"},
	{Name: RefusalsVanish, Breaks: "rejections are not kept as rows"},
	{Name: SameAttempt, Breaks: "a batch tried again has the attempt ID it had before"},
	{Name: DedupeByID, Breaks: "a batch is freed of repeated IDs without a look at sale and shopper"},
	{Name: RestockTwice, Breaks: "a command run again under its ID does its work again"},
	{Name: UnsortedBatches, Breaks: "a batch locks its rows in the order of arrival"},
	{Name: OneWorkerNumber, Breaks: "all processes have one worker number, and a collision goes unseen"},
	{Name: CursorFirst, Breaks: "the cursor of events moves before they are stored"},
	{
		Name: "out-of-order", Breaks: "the cursor moves over changes that were not applied",
		Script: "apply", Old: "if seq == applied + 1 then", New: "if seq > applied then",
	},
	{
		Name: "rename-over", Breaks: "a load is put over a sale that is loaded already",
		Script: "load", Old: "if redis.call('EXISTS', KEYS[1]) == 1 then", New: "if false then",
	},
	{
		Name: "key-dropped", Breaks: "a settled order loses its idempotency key",
		Script: "apply", Old: "    values[s] = value\n",
		New: "    value = string.gsub(value, '(S%d+,%d+,%d+),[^\\n]*', '%1')\n    values[s] = value\n",
	},
	{
		Name: "no-seq-fence", Breaks: "a verdict that was only read adopts an absent order",
		Script: "apply", Old: "local first_time = status ~= 'done'", New: "local first_time = true",
	},
}
