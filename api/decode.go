package api

import (
	"seckill/internal/strictjson"
)

// purchaseBody is the body of a purchase as it was sent, not yet validated.
type purchaseBody struct {
	quantity  int64
	reference string
}

// decodePurchase reads the body of a purchase; no body at all is an empty one.
// The error is one of
// strictjson.
func decodePurchase(body []byte) (purchaseBody, error) {
	p := purchaseBody{quantity: 1}
	if len(body) == 0 {
		return p, nil
	}
	err := strictjson.Object(body, purchaseFields, func(key string, value []byte) (ok bool) {
		switch key {
		case "quantity":
			p.quantity, ok = strictjson.Integer(value)
		case "reference":
			p.reference, ok = strictjson.String(value)
		}
		return ok
	})
	return p, err
}

// decodePayment reads the body of a payment, all of whose fields are required:
// ref is empty, or the amount below 0, where it is missing. The problem is
// malformedJSON or unexpectedField.
func decodePayment(body []byte) (payment, error) {
	p := payment{}
	p.AmountMinor = -1
	err := strictjson.Object(body, paymentFields, func(key string, value []byte) (ok bool) {
		switch key {
		case "order_id":
			p.ref, ok = strictjson.String(value)
		case "amount_minor":
			p.AmountMinor, ok = strictjson.Integer(value)
		case "currency":
			p.Currency, ok = strictjson.String(value)
		}
		return ok
	})
	return p, err
}

var (
	purchaseFields  = []string{"quantity", "reference"}
	paymentFields   = []string{"order_id", "amount_minor", "currency"}
	challengeFields = []string{"challenge"}
)
