package webhook

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
)

// A callback is believed only with our own signature over what it says, now.
func FuzzCallback(f *testing.F) {
	secrets := [][]byte{[]byte("what the provider signs with, in tests")}
	now := time.Unix(1_780_000_000, 0)
	body := []byte(`{"order_id":"1","amount_minor":9900,"currency":"CNY"}`)
	good := Sign(secrets[0], "evt_1", now, body)
	for _, signature := range []string{good, "v1,x " + good, "v1," + good, "v1," + good[3:], "v1a,x", "v1,", "", strings.Repeat("v1,AAAA ", 9), good[:len(good)-1]} {
		f.Add("evt_1", "1780000000", signature, body)
	}
	f.Add("evt_1", "01780000000", good, body)
	f.Add("evt_1", "-1", good, body)
	f.Add("evt_1.1780000000", "", good, body)
	f.Fuzz(func(t *testing.T, event, at, signature string, body []byte) {
		cb, err := Parse(http.Header{HeaderEventID: {event}, HeaderTimestamp: {at}, HeaderSignature: {signature}}, now)
		if err != nil || !cb.SignedWith(secrets, body) {
			return
		}
		require.True(t, order.ValidEventID(event))
		require.LessOrEqual(t, len(cb.signatures), maxSignatures)
		sent, err := time.ParseDuration(at + "s")
		require.NoError(t, err)
		require.InDelta(t, now.Unix(), sent.Seconds(), replayWindow.Seconds())
		require.Contains(t, strings.Fields(signature), Sign(secrets[0], event, time.Unix(int64(sent.Seconds()), 0), body))
	})
}
