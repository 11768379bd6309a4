package api

import (
	"sync"

	"seckill/order"
)

// hub wakes the polls that wait for an order's result. How many wait is
// bounded, by 0 at first.
type hub struct {
	mu      sync.Mutex
	limit   int
	held    int
	waiting map[order.ID][]chan struct{}
}

func newHub() *hub {
	return &hub{waiting: make(map[order.ID][]chan struct{})}
}

// setLimit changes how many may wait. Who waits already goes on.
func (h *hub) setLimit(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.limit = n
}

// join returns a channel that gets a value when a result of the order is
// announced, from now on; nil when as many wait already as may. Who joined
// leaves.
func (h *hub) join(id order.ID) chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held >= h.limit {
		return nil
	}
	h.held++
	woken := make(chan struct{}, 1)
	h.waiting[id] = append(h.waiting[id], woken)
	return woken
}

func (h *hub) leave(id order.ID, woken chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held--
	ws := h.waiting[id]
	for i, w := range ws {
		if w == woken {
			ws[i] = ws[len(ws)-1]
			ws[len(ws)-1] = nil
			ws = ws[:len(ws)-1]
			break
		}
	}
	if len(ws) == 0 {
		delete(h.waiting, id)
		return
	}
	h.waiting[id] = ws
}

// wake wakes whoever waits for one of the orders.
func (h *hub) wake(_ int64, ids []order.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		for _, w := range h.waiting[id] {
			select {
			case w <- struct{}{}:
			default: // woken already
			}
		}
	}
}
