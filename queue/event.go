package queue

import "seckill/order"

// EventMessage is an event on its way: what a topic of events stores.
type EventMessage struct {
	ID      string       // the same for the same event, for ever
	OrderID order.ID     // messages of one order stay in their order
	Status  order.Status // to be filtered by
	Body    []byte
}
