// Package siteverify checks answers to challenges (captchas) with the protocol of
// Turnstile, hCaptcha and reCAPTCHA: it posts a form with secret, response and
// remoteip to the provider, which answers {"success": true or false}. Anything but
// a clear answer is an error, never a success. A success also needs the hostname,
// the action and the score that the options ask for.
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
	maxCalls  = 64
	// maxToken is more than any provider's: Turnstile says 2,048 characters.
	maxToken = 3 << 10
)

// Errors that say nothing against the provider: a breaker must not count them.
var (
	// ErrBusy: the calls in progress are as many as may be.
	ErrBusy = errors.New("siteverify: too many checks in progress")
	// ErrRefused: the provider refused the request without a verdict, which the
	// answer that a caller made up may have caused.
	ErrRefused = errors.New("siteverify: refused without a verdict")
)

// Options of a Verifier.
type Options struct {
	URL    string // of the provider's siteverify endpoint
	Secret string // shared with the provider
	// Hostnames are those on which a challenge may have been answered; none: any.
	Hostnames []string
	// Action is that which the page named (reCAPTCHA v3, Turnstile); empty: any.
	Action string
	// MinScore, from 0 to 1, is the lowest trust in the caller that passes, where the
	// provider gives a score: reCAPTCHA v3's, or 1 less the risk that hCaptcha gives.
	MinScore float64
	// Guard is a breaker around each call; may be nil.
	Guard func(func() error) error
}

// Verifier calls one provider. Safe for concurrent use.
type Verifier struct {
	opts   Options
	risk   bool          // the score is one of risk
	calls  chan struct{} // in progress
	client *http.Client
}

// New returns a Verifier.
func New(o Options) *Verifier {
	if o.Guard == nil {
		o.Guard = func(call func() error) error { return call() }
	}
	u, err := url.Parse(o.URL)
	return &Verifier{
		opts: o, risk: err == nil && strings.HasSuffix("."+u.Hostname(), ".hcaptcha.com"),
		calls: make(chan struct{}, maxCalls),
		client: &http.Client{
			Timeout:       timeout,
			Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: maxCalls, IdleConnTimeout: time.Minute},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the secret goes nowhere else
		},
	}
}

// verdict is the provider's answer.
type verdict struct {
	Success  *bool    `json:"success"`
	Errors   []string `json:"error-codes"`
	Hostname string   `json:"hostname"`
	Action   string   `json:"action"`
	Score    *float64 `json:"score"`
}

// Check reports whether the answer is right; address is the client's and may be
// empty. An error means that the provider gave no verdict.
func (v *Verifier) Check(ctx context.Context, answer, address string) (passed bool, err error) {
	if answer == "" || len(answer) > maxToken || strings.ContainsFunc(answer, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return false, nil // no provider's
	}
	select { // before the guard: this wait is not the provider's
	case v.calls <- struct{}{}:
	case <-ctx.Done():
		return false, fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
	}
	defer func() { <-v.calls }()
	err = v.opts.Guard(func() error {
		said, err := v.ask(ctx, answer, address)
		if err == nil {
			passed, err = v.passed(said)
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
	// Some providers send success: false with status 400; success needs a 200.
	switch decided := err == nil && said.Success != nil; {
	case decided && (res.StatusCode == http.StatusOK || !*said.Success && res.StatusCode < http.StatusInternalServerError):
		return said, nil
	case !decided && res.StatusCode/100 == 4:
		return said, fmt.Errorf("%w: status %d", ErrRefused, res.StatusCode)
	default:
		return said, fmt.Errorf("status %d without a verdict", res.StatusCode)
	}
}

// ours are the errors that are not the shopper's fault.
var ours = []string{"missing-input-secret", "invalid-input-secret", "internal-error", "sitekey-secret-mismatch"}

func (v *Verifier) passed(said verdict) (bool, error) {
	if !*said.Success {
		if i := slices.IndexFunc(said.Errors, func(e string) bool { return slices.Contains(ours, e) }); i >= 0 {
			return false, errors.New(said.Errors[i])
		}
		return false, nil
	}
	return (len(v.opts.Hostnames) == 0 || slices.Contains(v.opts.Hostnames, said.Hostname)) &&
		(v.opts.Action == "" || v.opts.Action == said.Action) && v.trusted(said.Score), nil
}

func (v *Verifier) trusted(score *float64) bool {
	switch {
	case score == nil:
		return true
	case v.risk:
		return 1-*score >= v.opts.MinScore
	default:
		return *score >= v.opts.MinScore
	}
}
