package api

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"seckill/internal/lang"
	"seckill/internal/problem"
	"seckill/order"
)

// invalid returns the validation problem of one field: a JSON pointer, or a
// query parameter as ?name.
func invalid(pointer, detail string) *problem.Failure {
	return &problem.Failure{Type: validation, Fields: []problem.Field{{Pointer: pointer, Detail: detail}}}
}

// reservationUnknown is the answer when the server cannot tell whether the
// purchase was reserved: the list of the shopper's orders can.
func reservationUnknown(saleID int64, cause error) *problem.Failure {
	return &problem.Failure{Type: dependencyDown, Detail: &reserveUnknown, SaleID: saleID, Cause: cause}
}

// notReserved is the answer when a purchase was stopped before any reservation.
func notReserved(cause error) *problem.Failure {
	return &problem.Failure{Type: dependencyDown, Detail: &nothingReserved, Cause: cause}
}

// noSuchSale is the answer about a sale that does not exist or is closed.
func noSuchSale() *problem.Failure { return &problem.Failure{Type: notFound, Detail: &saleUnknown} }

// rejection returns the problem of a rejected order.
func rejection(r order.Reason) *problem.Type {
	switch r {
	case order.ReasonSoldOut:
		return soldOut
	case order.ReasonPurchaseLimit:
		return purchaseLimit
	default:
		return orderFailed
	}
}

// failureOf maps any error to what the shopper may know of it.
func failureOf(err error) *problem.Failure {
	if f, ok := errors.AsType[*problem.Failure](err); ok {
		return f
	}
	if he, ok := errors.AsType[*echo.HTTPError](err); ok {
		switch he.Code {
		case http.StatusNotFound:
			return problem.New(notFound, nil)
		case http.StatusMethodNotAllowed: // Echo has set Allow
			return problem.New(methodNotAllowed, nil)
		}
	}
	return problem.New(internal, err)
}

// writeFailure answers with the problem document of f.
func writeFailure(w http.ResponseWriter, r *http.Request, f *problem.Failure) {
	l := lang.Of(r)
	f.SetHeader(w.Header(), l)
	buf := takeBuffer()
	defer buf.release()
	buf.b = f.Append(buf.b, l)
	writeBody(w, f.Status, buf.b)
}
