package main

import (
	"os"
	"runtime/debug"
)

const (
	// gcPercent lets the heap grow to five times what is live before it is
	// collected; GOGC overrides it, GOMEMLIMIT bounds it. A request's garbage is
	// gone with its answer: at Go's 100, collecting took 12 % of the API's CPU; at
	// 400 each accepted order cost 8 % less (scripts/bench --rows accepted_256).
	gcPercent = 400
	// ballastSize counts as live but is never touched, so that it takes no memory:
	// next to nothing is live, and 400 % of that is collected many times a second.
	ballastSize = 32 << 20
)

// tuneGC returns what has to be kept alive.
func tuneGC() (ballast []byte) {
	if _, set := os.LookupEnv("GOGC"); set {
		return nil
	}
	debug.SetGCPercent(gcPercent)
	return make([]byte, ballastSize)
}
