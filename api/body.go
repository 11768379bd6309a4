package api

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"

	"seckill/catalog"
	"seckill/internal/strictjson"
	"seckill/order"
)

// maxBody is the largest body read. Ours have some 50 bytes.
const maxBody = 4 << 10

// purchase is a validated request for an order.
type purchase struct {
	quantity  int
	reference string
	key       uint64 // digest of the idempotency key; 0 without one
}

// readPurchase reads and validates what a shopper asks for.
func readPurchase(r *http.Request, sale *catalog.Snapshot) (purchase, error) {
	if err := checkMedia(r); err != nil {
		return purchase{}, err
	}
	key, err := idempotencyKey(r.Header)
	if err != nil {
		return purchase{}, err
	}
	body, problem, err := readBody(r)
	if err != nil {
		return purchase{}, err
	}
	if problem != nil {
		return purchase{}, fail(problem, nil)
	}
	var bad []fieldError
	if body.quantity < 1 || body.quantity > int64(sale.UnitsPerOrder) {
		bad = append(bad, fieldError{"/quantity", "wants 1 to " + strconv.Itoa(sale.UnitsPerOrder)})
	}
	if !order.ValidReference(body.reference) {
		bad = append(bad, fieldError{"/reference", "wants at most 64 printable ASCII characters"})
	}
	if bad != nil {
		return purchase{}, &failure{problem: validation, fields: bad}
	}
	return purchase{quantity: int(body.quantity), reference: body.reference, key: key}, nil
}

// checkMedia refuses what is not plain JSON. A request without a body needs no
// Content-Type.
func checkMedia(r *http.Request) error {
	types := r.Header["Content-Type"]
	switch {
	case len(r.Header["Content-Encoding"]) > 0:
	case r.ContentLength == 0, len(types) == 1 && plainJSON(types[0]):
		return nil
	}
	return &failure{problem: unsupportedMedia, closing: r.ContentLength < 0}
}

func plainJSON(contentType string) bool {
	if contentType == contentJSON[0] {
		return true
	}
	media, params, err := mime.ParseMediaType(contentType)
	charset, named := params["charset"]
	return err == nil && media == contentJSON[0] && (!named || strings.EqualFold(charset, "utf-8"))
}

// idempotencyKey returns the digest of the request's key; 0 without one.
func idempotencyKey(h http.Header) (uint64, error) {
	values, sent := h["Idempotency-Key"]
	if !sent {
		return 0, nil
	}
	if len(values) != 1 || values[0] == "" || len(values[0]) > 64 || !order.ValidReference(values[0]) {
		return 0, fail(keyInvalid, nil)
	}
	return order.KeyDigest(values[0]), nil
}

// bodies holds buffers one byte larger than the largest body: a full one tells
// that there is more.
var bodies = sync.Pool{New: func() any { return new([maxBody + 1]byte) }}

func readBody(r *http.Request) (purchaseBody, *problem, error) {
	if r.ContentLength == 0 {
		body, problem := decodePurchase(nil)
		return body, problem, nil
	}
	buf, _ := bodies.Get().(*[maxBody + 1]byte)
	defer bodies.Put(buf)
	b, err := fill(buf, r)
	if err != nil {
		return purchaseBody{}, nil, err
	}
	body, problem := decodePurchase(b)
	return body, problem, nil
}

// readObject reads a body that may be missing: see decodeObject.
func readObject(r *http.Request, known []string, set func(key string, value []byte) bool) error {
	if err := checkMedia(r); err != nil || r.ContentLength == 0 {
		return err
	}
	buf, _ := bodies.Get().(*[maxBody + 1]byte)
	defer bodies.Put(buf)
	body, err := fill(buf, r)
	if err != nil || len(body) == 0 {
		return err
	}
	if err := strictjson.Object(body, known, set); err != nil {
		return fail(problemOf(err), nil)
	}
	return nil
}

// fill reads the body of a request into a buffer of bodies.
func fill(buf *[maxBody + 1]byte, r *http.Request) ([]byte, error) {
	n := 0
	for n < len(buf) {
		m, err := r.Body.Read(buf[n:])
		n += m
		switch {
		case err == nil:
			continue
		case errors.Is(err, io.EOF):
			return buf[:n], nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, &failure{problem: requestTimeout, closing: true}
		default: // cut off, or chunks that are none
			return nil, &failure{problem: malformedJSON, closing: true}
		}
	}
	return nil, &failure{problem: tooLarge, closing: true}
}
