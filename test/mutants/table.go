package mutants

// All is the table of all mutants. One more of the protocol's list is no edit of
// the program: without the slot key is a dropped index.
var All = []Mutant{
	{"no-tombstone", "rejected and cancelled orders are forgotten at once", []Edit{
		{"stock/apply.lua", "local ahead_most, dead_most = 1000, 4", "local ahead_most, dead_most = 1000, 0"},
	}},
	{"no-compare-and-set", "a confirmation settles an entry that is settled already", []Edit{
		{"stock/apply.lua", "if e and e.state == 'P' then", "if e and live(e) then"},
	}},
	{"no-adopt", "a committed order that Redis has lost is not adopted", []Edit{
		{"stock/apply.lua", "elseif not e and first_time then", "elseif false then"},
	}},
	{"out-of-order", "the cursor moves over changes that were not applied", []Edit{
		{"stock/apply.lua", "if seq == applied + 1 then", "if seq > applied then"},
	}},
	{"key-dropped", "a settled order loses its idempotency key", []Edit{
		{"stock/apply.lua", "    values[s] = value\n", "    value = string.gsub(value, '(S%d+,%d+,%d+),[^\\n]*', '%1')\n    values[s] = value\n"},
	}},
	{"no-seq-fence", "a verdict that was only read adopts an absent order", []Edit{
		{"stock/apply.lua", "local first_time = status ~= 'done'", "local first_time = true"},
	}},
	{"rename-over", "a load is put over a sale that is loaded already", []Edit{
		{"stock/load.lua", "if redis.call('EXISTS', KEYS[1]) == 1 then", "if false then"},
	}},
	{"api-gives-back", "the API gives the units back when a send was not acknowledged", []Edit{
		{"stock/due.go", "	k := keysOf(saleID)\n	args := make([]any, len(os))\n", `	vs := make([]order.Verdict, len(os))
	for i, o := range os {
		vs[i] = order.Verdict{Order: o, Status: order.StatusRejected} // no row stands for it
	}
	if len(vs) > 0 {
		return l.Replay(ctx, vs)
	}
	k := keysOf(saleID)
	args := make([]any, len(os))
`},
	}},
	{"ack-before-commit", "a delivery is acknowledged before its orders are committed", []Edit{
		{"consumer/receiver.go", "	if err := r.pool.hand(ctx, orders, ts); err != nil {", `	go func() { _ = r.pool.Settle(ctx, orders) }()
	if err := r.pool.hand(ctx, nil, ts); err != nil {`},
	}},
	{"refusals-rolled-back", "rejections are not kept as rows", []Edit{
		{"order/mysql/deduct.go", "exec(ctx, t.tx, rejectOrders+repeat(\"?\", len(vs))+`)`, args...)", "exec(ctx, t.tx, `DELETE FROM orders WHERE id IN (`+repeat(\"?\", len(vs))+`)`, args[1:]...)"},
	}},
	{"same-attempt", "a batch tried again has the attempt ID it had before", []Edit{
		{"order/mysql/settle.go", "			return t.run(ctx, orders, try > 0)", "			t.attempt = uint64(orders[0].ID)\n			return t.run(ctx, orders, try > 0)"},
	}},
	{"dedupe-by-id", "a batch is freed of repeated IDs without a look at sale and shopper", []Edit{
		{"order/settle.go", "CompareIdentity), Same)", "CompareIdentity), func(a, b Order) bool { return a.ID == b.ID })"},
	}},
	{"unsorted-batches", "batches lock their rows in different orders", []Edit{
		{"order/settle.go", "func Distinct(batch []Order) []Order {\n", `func Distinct(batch []Order) []Order {
	os := inOrder(batch)
	if len(os) > 0 && os[0].ID != batch[0].ID {
		slices.Reverse(os)
	}
	return os
}

func inOrder(batch []Order) []Order {
`},
	}},
	{"one-worker-number", "all processes have one node ID, and a collision goes unseen", []Edit{
		{"order/settle.go", "	if Same(r.Order, o) {", "	if r.ID == o.ID {"},
		{"cmd/seckill/internal/app/ids.go", "order.NewIDMaker(n)", "order.NewIDMaker(min(n, 1))"},
	}},
	{"restock-without-command", "a command run again under its ID does its work again", []Edit{
		{"order/mysql/operate.go", "	if n == 0 { // run before", "	if n < 0 {"},
	}},
	{"returns-unread", "settling does not look at what a shopper has returned", []Edit{
		{"order/mysql/deduct.go", " AND (attempts_per_shopper = 0 OR most_returned < attempts_per_shopper)", ""},
	}},
	{"no-mac", "a message is an order whoever signed it", []Edit{
		{"consumer/receiver.go", "	o, err := r.opts.Signer.Decode(body)\n", "	o, err := order.DecodeMessage(body)\n"},
	}},
	{"cursor-first", "the cursor of events moves before they are stored", []Edit{
		{"event/relay.go", "	if err := r.publish(ctx, es); err != nil {", "	_ = r.store.MoveEvents(ctx, t.saleID, r.holder, through, lease)\n	if err := r.publish(ctx, es); err != nil {"},
	}},
}
