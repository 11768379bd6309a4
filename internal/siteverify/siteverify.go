// Package siteverify checks answers to challenges (captchas) with the protocol of
// Turnstile, hCaptcha and reCAPTCHA: it posts a form with secret, response and
// remoteip to the provider, which answers {"success": true or false}. Anything but
// a clear answer is an error, never a success.
package siteverify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	timeout   = 3 * time.Second
	maxAnswer = 16 << 10
	maxConns  = 64
)

// Options of a Verifier.
type Options struct {
	URL    string // of the provider's siteverify endpoint
	Secret string // shared with the provider
	// Guard is a breaker around each call; may be nil.
	Guard func(func() error) error
}

// Verifier calls one provider. Safe for concurrent use.
type Verifier struct {
	url, secret string
	guard       func(func() error) error
	client      *http.Client
}

// New returns a Verifier.
func New(o Options) *Verifier {
	if o.Guard == nil {
		o.Guard = func(call func() error) error { return call() }
	}
	return &Verifier{url: o.URL, secret: o.Secret, guard: o.Guard, client: &http.Client{
		Timeout: timeout,
		// Further calls wait for a connection, at most for the timeout.
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, MaxConnsPerHost: maxConns, MaxIdleConnsPerHost: maxConns, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the secret goes nowhere else
	}}
}

// verdict is the provider's answer.
type verdict struct {
	Success *bool    `json:"success"`
	Errors  []string `json:"error-codes"`
}

// Check reports whether the answer is right; address is the client's and may be
// empty. An error means that the provider gave no verdict.
func (v *Verifier) Check(ctx context.Context, answer, address string) (passed bool, err error) {
	err = v.guard(func() error {
		said, err := v.ask(ctx, answer, address)
		if err == nil {
			passed, err = said.passed()
		}
		return err
	})
	if err != nil {
		return false, fmt.Errorf("siteverify: %w", err)
	}
	return passed, nil
}

func (v *Verifier) ask(ctx context.Context, answer, address string) (said verdict, err error) {
	form := url.Values{"secret": {v.secret}, "response": {answer}}
	if address != "" {
		form.Set("remoteip", address)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, v.url, strings.NewReader(form.Encode()))
	if err != nil {
		return said, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := v.client.Do(r)
	if err != nil {
		return said, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return said, err
	}
	err = json.Unmarshal(body, &said)
	// Some providers send success: false with status 400; success needs a 200.
	if err != nil || said.Success == nil || res.StatusCode >= http.StatusInternalServerError || *said.Success && res.StatusCode != http.StatusOK {
		return said, fmt.Errorf("status %d without a verdict", res.StatusCode)
	}
	return said, nil
}

// ours are the errors that are not the shopper's fault.
var ours = []string{"missing-input-secret", "invalid-input-secret", "internal-error", "sitekey-secret-mismatch"}

func (v verdict) passed() (bool, error) {
	if i := slices.IndexFunc(v.Errors, func(e string) bool { return slices.Contains(ours, e) }); i >= 0 && !*v.Success {
		return false, errors.New(v.Errors[i])
	}
	return *v.Success, nil
}
