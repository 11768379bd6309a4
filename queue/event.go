package queue

import "seckill/order"

// EventMessage is one message of the topic of events.
type EventMessage struct {
	ID      string       // always the same for the same event
	OrderID order.ID     // messages of one order stay in sequence
	Status  order.Status // for filters; of a payment to be refunded: refund_required
	Body    []byte
}
