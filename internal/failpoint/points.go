// Package failpoint makes the program fail on purpose, for the fault suite: Hit
// is a place at which a process can be made to die, stop, fail or be slow. It
// exists only with the build tag `failpoint`; without the tag Hit is empty and inlined,
// so the program has no trace of it.
package failpoint

// Point is a place between two steps where a fault is worst.
type Point struct {
	Name string
	Role string // the process that reaches it: api or consumer
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
