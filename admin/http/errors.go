package adminhttp

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"seckill/admin"
	"seckill/internal/denial"
	"seckill/internal/problem"
	"seckill/order"
)

const maxLoggedPath = 256

// fail answers with the problem of err.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	f := failureOf(err)
	h.denials.Record(r.Context(), f.Cause, slog.String("route", r.Method+" "+r.URL.Path[:min(len(r.URL.Path), maxLoggedPath)]), slog.String("address", denial.SocketSource(r)))
	if f.Status >= http.StatusInternalServerError {
		h.log.WarnContext(r.Context(), "operator's request failed", "method", r.Method, "path", r.URL.Path, "err", err)
	}
	writeFailure(w, r, f)
}

// failureOf maps any error to a failure.
func failureOf(err error) *problem.Failure {
	if f, ok := errors.AsType[*problem.Failure](err); ok {
		return f
	}
	if _, ok := errors.AsType[*admin.UnavailableError](err); ok {
		return problem.New(dependencyDown, err)
	}
	if fields := fieldErrors(err); len(fields) > 0 {
		return &problem.Failure{Type: validation, Fields: fields}
	}
	for _, row := range []struct {
		err error
		*problem.Type
	}{
		{order.ErrStale, stale},
		{order.ErrReused, keyReused},
		{order.ErrConflict, conflict},
		{order.ErrNotFound, notFound},
		{order.ErrInvalid, validation},
	} {
		if !errors.Is(err, row.err) {
			continue
		}
		f := problem.New(row.Type, err)
		if about := Reason(err); about != "" && row.Type == conflict {
			f.Detail = &problem.Detail{En: about, Zh: about}
		}
		return f
	}
	return problem.New(internalError, err)
}

// Reason returns what a conflict is about, without the errors that wrap it; empty
// for any other error.
func Reason(err error) string {
	if !errors.Is(err, order.ErrConflict) {
		return ""
	}
	prefix := order.ErrConflict.Error() + ": "
	_, about, _ := strings.Cut(err.Error(), prefix)
	return strings.ReplaceAll(about, "\n"+prefix, "; ") // several at once
}

// problem.Fields are the bad fields in err, as JSON pointers.
func fieldErrors(err error) (fields []problem.Field) {
	if f, ok := err.(*order.FieldError); ok { //nolint:errorlint // the tree is walked here
		return []problem.Field{{Pointer: "/" + f.Field, Detail: f.Detail}}
	}
	switch e := err.(type) { //nolint:errorlint // as above
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			fields = append(fields, fieldErrors(err)...)
		}
	case interface{ Unwrap() error }:
		return fieldErrors(e.Unwrap())
	}
	return fields
}
