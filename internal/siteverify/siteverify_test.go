package siteverify_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/internal/siteverify"
)

// provider answers every call alike and keeps the last form.
func provider(t *testing.T, status int, body string) (url string, last *http.Request) {
	t.Helper()
	last = &http.Request{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		*last = *r
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(srv.Close)
	return srv.URL + "/siteverify", last
}

func TestOnlyAClearYesPasses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		status int
		body   string
		passed bool
		failed bool
	}{
		{"yes", 200, `{"success":true,"hostname":"x"}`, true, false},
		{"no", 200, `{"success":false,"error-codes":["invalid-input-response"]}`, false, false},
		{"no, as a bad request", 400, `{"success":false,"error-codes":["timeout-or-duplicate"]}`, false, false},
		{"our secret is wrong", 200, `{"success":false,"error-codes":["invalid-input-secret"]}`, false, true},
		{"no JSON", 200, `yes`, false, true},
		{"no verdict", 200, `{}`, false, true},
		{"a word", 200, `{"success":"true"}`, false, true},
		{"null", 200, `null`, false, true},
		{"an error that says yes", 500, `{"success":true}`, false, true},
		{"a redirect", 302, ``, false, true},
		{"a redirect that says yes", 302, `{"success":true}`, false, true},
		{"a bad request that says yes", 400, `{"success":true}`, false, true},
		{"an endless body", 200, `{"success":true` + strings.Repeat(" ", 20<<10) + `}`, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			url, last := provider(t, tt.status, tt.body)
			passed, err := siteverify.New(siteverify.Options{URL: url, Secret: "s3"}).Check(t.Context(), "an&swer", "2001:db8::1")
			require.Equal(t, tt.passed, passed)
			require.Equal(t, tt.failed, err != nil, err)
			require.Equal(t, "/siteverify", last.URL.Path)
			require.Equal(t, map[string][]string{"secret": {"s3"}, "response": {"an&swer"}, "remoteip": {"2001:db8::1"}}, map[string][]string(last.PostForm))
			if err != nil {
				require.NotContains(t, err.Error(), "s3")
			}
		})
	}
}

func TestAProviderThatHangsIsLeft(t *testing.T) {
	t.Parallel()
	hung := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hung }))
	t.Cleanup(func() { close(hung); srv.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	passed, err := siteverify.New(siteverify.Options{URL: srv.URL}).Check(ctx, "a", "")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.False(t, passed)
}

func TestTheGuardSeesFaultsAndNotRefusals(t *testing.T) {
	t.Parallel()
	var seen []error
	guard := func(call func() error) error { err := call(); seen = append(seen, err); return err }
	for _, body := range []string{`{"success":false}`, `nonsense`} {
		url, _ := provider(t, 200, body)
		_, _ = siteverify.New(siteverify.Options{URL: url, Guard: guard}).Check(t.Context(), "a", "")
	}
	require.NoError(t, seen[0])
	require.Error(t, seen[1])
	open := errors.New("open")
	passed, err := siteverify.New(siteverify.Options{Guard: func(func() error) error { return open }}).Check(t.Context(), "a", "")
	require.ErrorIs(t, err, open)
	require.False(t, passed)
}
