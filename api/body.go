package api

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"

	"seckill/catalog"
	"seckill/internal/problem"
	"seckill/internal/strictjson"
	"seckill/order"
)

// maxBody is the largest body read. A purchase has some 50 bytes.
const maxBody = 4 << 10

// purchase is a validated request for an order.
type purchase struct {
	quantity  int
	reference string
	key       uint64 // digest of the idempotency key; 0 without one
}

// readPurchase reads and validates a purchase.
func readPurchase(r *http.Request, sale *catalog.Snapshot) (purchase, error) {
	if err := checkMedia(r); err != nil {
		return purchase{}, err
	}
	key, err := idempotencyKey(r.Header)
	if err != nil {
		return purchase{}, err
	}
	buf, _ := bodies.Get().(*bodyBuffer)
	defer bodies.Put(buf)
	text, err := buf.read(r)
	if err != nil {
		return purchase{}, err
	}
	body, err := decodePurchase(text)
	if err != nil {
		return purchase{}, undecodable(err)
	}
	var bad []problem.Field
	if body.quantity < 1 || body.quantity > int64(sale.UnitsPerOrder) {
		bad = append(bad, problem.Field{Pointer: "/quantity", Detail: "must be 1 to " + strconv.Itoa(sale.UnitsPerOrder)})
	}
	if !order.ValidReference(body.reference) {
		bad = append(bad, problem.Field{Pointer: "/reference", Detail: "must be at most 64 printable ASCII characters"})
	}
	if bad != nil {
		return purchase{}, &problem.Failure{Type: validation, Fields: bad}
	}
	return purchase{quantity: int(body.quantity), reference: body.reference, key: key}, nil
}

// checkMedia refuses what is not plain JSON. A request without a body needs no
// Content-Type.
func checkMedia(r *http.Request) error {
	types := r.Header["Content-Type"]
	switch {
	case len(r.Header["Content-Encoding"]) > 0:
	case r.ContentLength == 0, len(types) == 1 && (types[0] == contentJSON[0] || strictjson.MediaType(types[0], contentJSON[0])):
		return nil
	}
	return &problem.Failure{Type: unsupportedMedia, Close: r.ContentLength < 0}
}

// idempotencyKey returns the digest of the request's key; 0 without one.
func idempotencyKey(h http.Header) (uint64, error) {
	values, sent := h["Idempotency-Key"]
	if !sent {
		return 0, nil
	}
	if len(values) != 1 || values[0] == "" || len(values[0]) > 64 || !order.ValidReference(values[0]) {
		return 0, problem.New(keyInvalid, nil)
	}
	return order.KeyDigest(values[0]), nil
}

// readObject reads a body that may be missing: see strictjson.Object.
func readObject(r *http.Request, known []string, set func(key string, value []byte) bool) error {
	if err := checkMedia(r); err != nil {
		return err
	}
	buf, _ := bodies.Get().(*bodyBuffer)
	defer bodies.Put(buf)
	text, err := buf.read(r)
	if err != nil || len(text) == 0 {
		return err
	}
	return undecodable(strictjson.Object(text, known, set))
}

// undecodable returns the problem of a decoder's error; nil for none.
func undecodable(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, strictjson.ErrUnknownField):
		return problem.New(unexpectedField, nil)
	default:
		return problem.New(malformedJSON, nil)
	}
}

// bodyBuffer is one byte larger than the largest body: if it is full, the body
// is too large.
type bodyBuffer [maxBody + 1]byte

var bodies = sync.Pool{New: func() any { return new(bodyBuffer) }}

// read reads the body of a request; the buffer owns the result.
func (b *bodyBuffer) read(r *http.Request) ([]byte, error) {
	n := 0
	for n < len(b) {
		m, err := r.Body.Read(b[n:])
		n += m
		switch {
		case err == nil:
			continue
		case errors.Is(err, io.EOF):
			return b[:n], nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, &problem.Failure{Type: requestTimeout, Close: true}
		default: // the connection was cut, or the chunks are malformed
			return nil, &problem.Failure{Type: malformedJSON, Close: true}
		}
	}
	return nil, &problem.Failure{Type: tooLarge, Close: true}
}

// purchaseBody is the body of a purchase as it was sent, not yet validated.
type purchaseBody struct {
	quantity  int64
	reference string
}

// decodePurchase reads the body of a purchase; no body is an empty one.
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

// decodePayment reads the body of a payment. All fields are required: ref is
// empty, or the amount below 0, if it is missing.
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
