package order

import (
	"slices"
	"time"
)

// MaxReturns is where a count of returned orders stops.
const MaxReturns = 65_535

// DefaultAttempts is the attempts_per_shopper of a new sale whose file says nothing.
const DefaultAttempts = 3

// MaxAttempts is the highest attempts_per_shopper of a sale that has a limit.
const MaxAttempts = 100

// Returns are the confirmed orders of a sale that a shopper gave back: cancelled by
// the shopper, or not paid in time. Those that an operator cancelled do not count,
// nor those of a voided sale.
type Returns struct {
	ShopperID string
	Orders    int // up to MaxReturns
	Units     int64
	At        time.Time // of the last one
}

// Number numbers the cancelled orders vs of one sale, which are in ID order: each
// is told how many its shopper has returned with it. returned are the counts with
// all of vs.
func Number(vs []*Verdict, returned map[string]int) {
	for _, v := range slices.Backward(vs) {
		v.Returned = returned[v.ShopperID]
		returned[v.ShopperID] = max(1, v.Returned-1)
	}
}

// UsedUp returns the confirmed orders of vs whose shopper has returned as many
// orders as the sale allows, and tells them the count. No number is too high for
// attempts 0.
func UsedUp(vs []*Verdict, returned map[string]int, attempts int) (refused []*Verdict) {
	for _, v := range vs {
		n := returned[v.ShopperID]
		if v.Status == StatusConfirmed && attempts > 0 && n >= attempts {
			v.Returned = n
			refused = append(refused, v)
		}
	}
	return refused
}

// ReturnedTimes are the shoppers who returned a number of orders.
type ReturnedTimes struct {
	Times    int // the last one, LastTimes, stands for higher numbers too
	Shoppers int64
	Orders   int64 // of these shoppers together
	Units    int64
}

// LastTimes is the highest number that a report tells apart.
const LastTimes = 10
