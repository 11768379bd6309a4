package main

import (
	"os"
	"runtime/debug"
)

// gcPercent lets the heap grow to five times what is live before it is
// collected; GOGC overrides it, GOMEMLIMIT bounds it. What is live is small,
// and a request's garbage is gone with its answer: at Go's 100, collecting took
// 12 % of the API's CPU; at 400 each accepted order cost 8 % less, for some
// 90 MB (scripts/bench --rows accepted_256).
const gcPercent = 400

func tuneGC() {
	if _, set := os.LookupEnv("GOGC"); !set {
		debug.SetGCPercent(gcPercent)
	}
}
