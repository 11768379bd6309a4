// Package batching gathers what many callers ask for at the same moment into one
// call to a server.
package batching

import (
	"iter"
	"runtime"
)

// Waiting yields what waits in queue, at most limit items, and does not wait
// itself. It yields the processor once first: callers that are ready to run put
// their items in, which doubles a batch and costs no time. So does what the loop
// does with each item: encoding a batch while it fills gave the publisher 5 %
// more orders a second than encoding it afterwards (accepted_256).
func Waiting[T any](queue <-chan T, limit int) iter.Seq[T] {
	return func(yield func(T) bool) {
		if len(queue) < limit {
			runtime.Gosched()
		}
		for range limit {
			select {
			case item, ok := <-queue:
				if !ok || !yield(item) {
					return
				}
			default:
				return
			}
		}
	}
}
