// Package siteverify checks answers to challenges (captchas) as Turnstile,
// hCaptcha and reCAPTCHA have it: a form with secret, response and remoteip is
// posted to the provider, who says {"success": true or false}. Whatever is not
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
	Secret string // ours with the provider
	// Guard is a breaker around each call; nil for none.
	Guard func(func() error) error
}

// Verifier asks one provider. Safe for concurrent use.
type Verifier struct {
	opts   Options
	client *http.Client
}

// New returns a Verifier.
func New(o Options) *Verifier {
	if o.Guard == nil {
		o.Guard = func(call func() error) error { return call() }
	}
	return &Verifier{opts: o, client: &http.Client{
		Timeout: timeout,
		// Further calls wait for a connection, no longer than the timeout.
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, MaxConnsPerHost: maxConns, MaxIdleConnsPerHost: maxConns, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the secret goes nowhere else
	}}
}

// verdict is what the provider says.
type verdict struct {
	Success *bool    `json:"success"`
	Errors  []string `json:"error-codes"`
}

// Check reports whether the answer is right; address is whose it is, and may be
// empty. An error says that the provider gave no verdict on it.
func (v *Verifier) Check(ctx context.Context, answer, address string) (passed bool, err error) {
	err = v.opts.Guard(func() error {
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
	form := url.Values{"secret": {v.opts.Secret}, "response": {answer}}
	if address != "" {
		form.Set("remoteip", address)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, v.opts.URL, strings.NewReader(form.Encode()))
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
	// Some say 400 beside success: false; a yes comes with 200 alone.
	if err != nil || said.Success == nil || res.StatusCode >= http.StatusInternalServerError || *said.Success && res.StatusCode != http.StatusOK {
		return said, fmt.Errorf("status %d without a verdict", res.StatusCode)
	}
	return said, nil
}

// ours are the reasons that no shopper can do anything about.
var ours = []string{"missing-input-secret", "invalid-input-secret", "internal-error", "sitekey-secret-mismatch"}

func (v verdict) passed() (bool, error) {
	if i := slices.IndexFunc(v.Errors, func(e string) bool { return slices.Contains(ours, e) }); i >= 0 && !*v.Success {
		return false, errors.New(v.Errors[i])
	}
	return *v.Success, nil
}
