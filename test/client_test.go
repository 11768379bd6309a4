//go:build e2e

package test

import (
	"io"
	"net/http"
	"strings"
)

// response is an answer, read to its end.
type response struct {
	status int
	header http.Header
	text   string
}

// send sends one request. headers are names and values in turn: an empty value
// removes the header, and a name twice in a row is sent twice. A body is JSON
// unless they say otherwise.
func send(client *http.Client, method, url, body string, headers ...string) (response, error) {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return response{}, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if i < 2 || headers[i] != headers[i-2] {
			req.Header.Del(headers[i])
		}
		if headers[i+1] != "" {
			req.Header.Add(headers[i], headers[i+1])
		}
	}
	resp, err := client.Do(req)
	if err != nil {
		return response{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return response{resp.StatusCode, resp.Header, string(text)}, err
}

// get is send without a body to a server of the test's own.
func get(url string) (response, error) { return send(http.DefaultClient, http.MethodGet, url, "") }
