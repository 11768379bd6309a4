// Package webhook signs callbacks and checks their signatures, as Standard
// Webhooks has them.
package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"seckill/order"
)

// The headers of a signed callback, as Standard Webhooks has them:
//
//	webhook-id         the event's ID; the same event again is answered the same
//	webhook-timestamp  when it was sent, in seconds since 1970
//	webhook-signature  v1,<base64 of HMAC-SHA256(secret, id "." timestamp "." body)>,
//	                   several with spaces between while secrets are rotated
const (
	HeaderEventID   = "Webhook-Id"
	HeaderTimestamp = "Webhook-Timestamp"
	HeaderSignature = "Webhook-Signature"
)

const (
	// replayWindow is how far a callback's time may be from the server's.
	replayWindow = 5 * time.Minute
	// maxSignatures bounds the work that a forged header causes.
	maxSignatures = 8
	signatureV1   = "v1,"
)

// Sign returns the value of webhook-signature for a callback.
func Sign(secret []byte, eventID string, at time.Time, body []byte) string {
	return signatureV1 + base64.StdEncoding.EncodeToString(callbackMAC(secret, eventID, strconv.FormatInt(at.Unix(), 10), body))
}

// The parts are unambiguous: a time is a number, and a body that does not begin
// with a brace is refused.
func callbackMAC(secret []byte, eventID, at string, body []byte) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(eventID + "." + at + "."))
	h.Write(body)
	return h.Sum(nil)
}

// Callback is the webhook headers of a request.
type Callback struct {
	EventID, at string
	signatures  []string
}

// ErrTime is the error of a callback whose time is too far from ours.
var ErrTime = errors.New("too far from the server's time")

// Parse reads the headers and checks the time. The error, which may be ErrTime, is the
// cause of a refusal, for the log.
func Parse(h http.Header, now time.Time) (Callback, error) {
	c := Callback{EventID: only(h, HeaderEventID), at: only(h, HeaderTimestamp)}
	if !order.ValidEventID(c.EventID) {
		return c, fmt.Errorf("%s is missing or malformed", HeaderEventID)
	}
	sec, err := strconv.ParseInt(c.at, 10, 64)
	if err != nil || c.at != strconv.FormatInt(sec, 10) {
		return c, fmt.Errorf("%s is missing or malformed", HeaderTimestamp)
	}
	if late := now.Sub(time.Unix(sec, 0)); sec <= 0 || late > replayWindow || late < -replayWindow {
		return c, fmt.Errorf("%s is %s behind: %w", HeaderTimestamp, late.Truncate(time.Second), ErrTime)
	}
	c.signatures = strings.Fields(only(h, HeaderSignature))
	if len(c.signatures) == 0 || len(c.signatures) > maxSignatures {
		return c, fmt.Errorf("%s is missing or malformed", HeaderSignature)
	}
	return c, nil
}

// only returns the value of a header that is sent once.
func only(h http.Header, name string) string {
	if values := h[name]; len(values) == 1 {
		return values[0]
	}
	return ""
}

// SignedWith reports whether one of the signatures was made with one of the
// secrets.
func (c Callback) SignedWith(secrets [][]byte, body []byte) bool {
	for _, secret := range secrets {
		want := callbackMAC(secret, c.EventID, c.at, body)
		for _, s := range c.signatures {
			mac, ok := strings.CutPrefix(s, signatureV1)
			got, err := base64.StdEncoding.DecodeString(mac)
			if ok && err == nil && hmac.Equal(got, want) {
				return true
			}
		}
	}
	return false
}
