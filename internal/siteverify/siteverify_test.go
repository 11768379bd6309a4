package siteverify_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
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
		{"a refusal without a verdict", 403, `<html>`, false, true},
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

func TestAYesNeedsHostActionAndScore(t *testing.T) {
	t.Parallel()
	opts := siteverify.Options{Hostnames: []string{"shop.example", "m.shop.example"}, Action: "buy", MinScore: 0.5}
	for body, want := range map[string]bool{
		`{"success":true,"hostname":"shop.example","action":"buy"}`:                 true, // v2 and Turnstile give no score
		`{"success":true,"hostname":"m.shop.example","action":"buy","score":0.5}`:   true,
		`{"success":true,"hostname":"shop.example","action":"buy","score":0.49}`:    false,
		`{"success":true,"hostname":"shop.example","action":"buy","score":0.0}`:     false,
		`{"success":true,"hostname":"evil.example","action":"buy","score":0.9}`:     false,
		`{"success":true,"hostname":"shop.example","action":"login","score":0.9}`:   false,
		`{"success":true,"action":"buy","score":0.9}`:                               false,
		`{"success":true,"hostname":"shop.example","score":0.9}`:                    false,
		`{"success":false,"hostname":"shop.example","action":"buy","score":0.9}`:    false,
		`{"success":true,"hostname":"x.shop.example","action":"buy","score":"0.9"}`: false,
	} {
		opts.URL, _ = provider(t, 200, body)
		passed, _ := siteverify.New(opts).Check(t.Context(), "a", "")
		require.Equal(t, want, passed, body)
	}
}

func TestWhatNoProviderWroteIsNotSent(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"", "a b", "a\nb", "é", "\x00", strings.Repeat("a", 3<<10+1)} {
		passed, err := siteverify.New(siteverify.Options{Guard: func(func() error) error { return errors.New("called") }}).Check(t.Context(), answer, "")
		require.NoError(t, err, "%q", answer)
		require.False(t, passed)
	}
}

// The guard is a breaker: what callers can cause must not open it.
func TestTheGuardSeesFaultsAndNotRefusals(t *testing.T) {
	t.Parallel()
	var seen []error
	guard := func(call func() error) error { err := call(); seen = append(seen, err); return err }
	for _, c := range []struct {
		status int
		body   string
	}{{200, `{"success":false}`}, {200, "nonsense"}, {403, "nonsense"}, {500, "nonsense"}} {
		url, _ := provider(t, c.status, c.body)
		_, _ = siteverify.New(siteverify.Options{URL: url, Guard: guard}).Check(t.Context(), "a", "")
	}
	require.NoError(t, seen[0])
	require.Error(t, seen[1])
	require.NotErrorIs(t, seen[1], siteverify.ErrRefused)
	require.ErrorIs(t, seen[2], siteverify.ErrRefused)
	require.Error(t, seen[3])
	require.NotErrorIs(t, seen[3], siteverify.ErrRefused)
	open := errors.New("open")
	passed, err := siteverify.New(siteverify.Options{Guard: func(func() error) error { return open }}).Check(t.Context(), "a", "")
	require.ErrorIs(t, err, open)
	require.False(t, passed)
}

// Waiting for a check of our own is no fault of the provider, and bounded.
func TestWaitingForOtherChecksIsNotTheProvidersFault(t *testing.T) {
	t.Parallel()
	hung := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		<-hung
		_, _ = w.Write([]byte(`{"success":true}`))
	}))
	t.Cleanup(srv.Close)
	var calls atomic.Int32
	v := siteverify.New(siteverify.Options{URL: srv.URL, Guard: func(call func() error) error { calls.Add(1); return call() }})
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() { _, _ = v.Check(t.Context(), "a", "") })
	}
	require.Eventually(t, func() bool { return calls.Load() == 64 }, 5*time.Second, time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := v.Check(ctx, "a", "")
	require.ErrorIs(t, err, siteverify.ErrBusy)
	close(hung)
	wg.Wait()
	require.Equal(t, int32(64), calls.Load())
}
