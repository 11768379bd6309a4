package main

import (
	"os"
	"runtime/debug"
)

const (
	// ballastSize counts as live but is never touched, so that it takes no memory:
	// the heap is collected at 48 MB and twice what is live, instead of many times
	// a second because next to nothing is live. Left to Go's default, collecting
	// took 12 % of the API's CPU (scripts/bench --rows accepted_256 --cpuprofile).
	ballastSize = 48 << 20
	// limitedPercent is for who sets GOMEMLIMIT, which would count the ballast.
	limitedPercent = 400
)

// tuneGC returns what has to be kept alive. GOGC overrides it.
func tuneGC() (ballast []byte) {
	if _, set := os.LookupEnv("GOGC"); set {
		return nil
	}
	if _, set := os.LookupEnv("GOMEMLIMIT"); set {
		debug.SetGCPercent(limitedPercent)
		return nil
	}
	return make([]byte, ballastSize)
}
