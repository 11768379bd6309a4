package contract

import (
	"bytes"
	"io"
	"maps"
	"net/http"
)

// Handler reports each response of next that breaks the contract. An aborted request has
// no response.
func (c *Contract) Handler(next http.Handler, report func(error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t := &tee{ResponseWriter: w}
		next.ServeHTTP(t, r)
		if t.header == nil {
			t.WriteHeader(http.StatusOK)
		}
		if err := c.Check(r, Answer{t.status, t.header, t.body.Bytes()}); err != nil {
			report(err)
		}
	})
}

// tee keeps what is written to a ResponseWriter.
type tee struct {
	http.ResponseWriter

	status int
	header http.Header
	body   bytes.Buffer
}

// Unwrap is for http.ResponseController.
func (t *tee) Unwrap() http.ResponseWriter { return t.ResponseWriter }

func (t *tee) WriteHeader(status int) {
	if t.header == nil {
		t.status, t.header = status, maps.Clone(t.Header())
	}
	t.ResponseWriter.WriteHeader(status)
}

func (t *tee) Write(b []byte) (int, error) {
	if t.header == nil {
		t.WriteHeader(http.StatusOK)
	}
	t.body.Write(b)
	return t.ResponseWriter.Write(b)
}

// Transport reports each response of next that breaks the contract, unless it was cut
// off.
func (c *Contract) Transport(next http.RoundTripper, report func(error)) http.RoundTripper {
	return transport{c, next, report}
}

type transport struct {
	contract *Contract
	next     http.RoundTripper
	report   func(error)
}

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if err := t.contract.Check(r, Answer{resp.StatusCode, resp.Header, body}); err != nil {
		t.report(err)
	}
	return resp, nil
}
