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
}
