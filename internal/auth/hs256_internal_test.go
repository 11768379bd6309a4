package auth

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"seckill/order"
)

var quickSecret = []byte("0123456789abcdef0123456789abcdef")

func quickVerifier(tb testing.TB) *Verifier {
	tb.Helper()
	v, err := New(Options{
		Secrets: map[string][]byte{"": quickSecret, "b": []byte("fedcba9876543210fedcba9876543210")}, Issuer: "seckill", Audience: "shoppers",
		CacheSize: 2 * tokenShards,
	})
	require.NoError(tb, err)
	return v
}

// signed makes a token of any header and payload.
func signed(tb testing.TB, header, payload string, secret []byte) string {
	tb.Helper()
	b64 := base64.RawURLEncoding.EncodeToString
	text := b64([]byte(header)) + "." + b64([]byte(payload))
	sig, err := jwt.SigningMethodHS256.Sign(text, secret)
	require.NoError(tb, err)
	return text + "." + b64(sig)
}

const plainHeader = `{"alg":"HS256","typ":"JWT"}`

func goodPayload(now time.Time) string {
	return fmt.Sprintf(`{"iss":"seckill","sub":"42","aud":["shoppers"],"exp":%d}`, now.Add(time.Hour).Unix())
}

func TestAnOrdinaryTokenIsVerifiedTheQuickWay(t *testing.T) {
	t.Parallel()
	v := quickVerifier(t)
	now := time.Now()
	token := signed(t, plainHeader, goodPayload(now), quickSecret)
	_, ok := v.quick.verify(token, now)
	require.False(t, ok, "its header is not known yet")
	_, err := v.Verify(token)
	require.NoError(t, err)
	shopper, ok := v.quick.verify(token, now)
	require.True(t, ok)
	require.Equal(t, "42", shopper)

	_, ok = v.quick.verify(token, now.Add(2*time.Hour))
	require.False(t, ok, "expired")
	_, ok = v.quick.verify(signed(t, plainHeader, goodPayload(now), []byte("another")), now)
	require.False(t, ok, "signed under another secret")
	_, ok = v.quick.verify(signed(t, `{"alg":"none"}`, goodPayload(now), quickSecret), now)
	require.False(t, ok)
}

func TestTheQuickWayTakesTokensToItsLimit(t *testing.T) {
	t.Parallel()
	v := quickVerifier(t)
	now := time.Now()
	_, err := v.Verify(signed(t, plainHeader, goodPayload(now), quickSecret))
	require.NoError(t, err)
	for _, c := range []struct {
		size        int
		quick, good bool
	}{{quickToken, true, true}, {quickToken + 1, false, true}, {maxToken, false, true}, {maxToken + 1, false, false}} {
		payload := (c.size - len(signed(t, plainHeader, "", quickSecret))) * 3 / 4
		payload -= len(goodPayload(now)) + len(`,"x":""`)
		token := signed(t, plainHeader, strings.TrimSuffix(goodPayload(now), "}")+`,"x":"`+strings.Repeat("a", payload)+`"}`, quickSecret)
		require.Len(t, token, c.size)
		_, quick := v.quick.verify(token, now)
		require.Equal(t, c.quick, quick, c.size)
		_, err := v.Verify(token)
		require.Equal(t, c.good, err == nil, c.size)
	}
	header := base64.RawURLEncoding.EncodeToString([]byte(plainHeader))
	signature, err := jwt.SigningMethodHS256.Sign(header, quickSecret)
	require.NoError(t, err)
	_, ok := v.quick.verify(header+"."+base64.RawURLEncoding.EncodeToString(signature), now)
	require.False(t, ok, "no payload")
}

func TestHeadersAreLearntWithinBounds(t *testing.T) {
	t.Parallel()
	v := quickVerifier(t)
	for i := range 3 * maxHeaders {
		_, err := v.Verify(signed(t, fmt.Sprintf(`{"alg":"HS256","x":%d}`, i), goodPayload(time.Now()), quickSecret))
		require.NoError(t, err)
	}
	require.Len(t, *v.quick.headers.Load(), maxHeaders)
	for _, cache := range v.shards {
		require.LessOrEqual(t, cache.Len(), 2)
	}
}

func TestTheQuickWayReadsOrdinaryClaims(t *testing.T) {
	t.Parallel()
	c, ok := readClaims([]byte(` { "sub" : "!~ s", "iss":"i",` + "\n\t\r" + `"aud":["a","b","c","d"],"exp":12345678901,"nbf":10,"iat":0,"jti":"j","x":true,"y":[ "p" ],"z":12 ,"v":"w","u":false}`))
	require.True(t, ok)
	require.Equal(t, []string{"!~ s", "i"}, []string{string(c.subject), string(c.issuer)})
	require.True(t, c.audience.holds("a") && c.audience.holds("d") && !c.audience.holds("e") && !c.audience.holds(""))
	for at, valid := range map[int64]bool{9: false, 10: true, 12345678900: true, 12345678901: false} {
		require.Equal(t, valid, c.valid(time.Unix(at, 0)), at)
	}
	c, ok = readClaims([]byte(`{"sub":"s","Sub":"x","EXP":1}`))
	require.True(t, ok)
	require.Equal(t, "s", string(c.subject))
	require.Zero(t, c.expires)
	c, ok = readClaims([]byte(`{"aud":"a"}`))
	require.True(t, ok && c.audience.holds("a") && !c.audience.holds(""))
	require.False(t, c.valid(time.Unix(1, 0)), "no expiry")
	for _, odd := range []string{
		``, `{}`, `{"sub"}`, `{"sub":"s"`, `{"sub":"s",}`, `{"sub":"s"} `, `{"sub":"s"}}`, `["sub"]`, `{"sub":s}`, `{"sub":"s`, `{"sub":"\u0034"}`, `{"sub":"é"}`,
		"{\"sub\":\"\x1f\"}", "{\"sub\":\"\x7f\"}", `{"aud":["a","b","c","d","e"]}`, `{"aud":[]}`, `{"aud":["a"}`, `{"aud":1}`, `{"exp":123456789012}`, `{"exp":01}`,
		`{"exp":}`, `{"exp":1.5}`, `{"exp":1e9}`, `{"exp":1`, `{"exp":-1}`, `{"exp":"1"}`, `{"x":null}`, `{"x":tru}`, `{"x":{}}`, `{"x":[1]}`, `{"x":`,
		`{"sub":"s","sub":"s"}`, `{"iss":"i","iss":"i"}`, `{"aud":"a","aud":"a"}`, `{"exp":1,"exp":1}`, `{"nbf":1,"nbf":1}`, `{"iat":1,"iat":1}`, `{"jti":"j","jti":"j"}`,
	} {
		_, ok := readClaims([]byte(odd))
		require.False(t, ok, odd)
	}
}

// Whatever the quick way takes for good, golang-jwt does too, and for the same
// shopper's.
func TestTheQuickWayAgreesWithTheLibrary(t *testing.T) {
	t.Parallel()
	v := quickVerifier(t)
	now := time.Now()
	for header, secret := range map[string][]byte{plainHeader: quickSecret, `{"kid":"b","alg":"HS256"}`: []byte("fedcba9876543210fedcba9876543210")} {
		_, err := v.Verify(signed(t, header, goodPayload(now), secret))
		require.NoError(t, err)
	}
	taken := 0
	rapid.Check(t, func(rt *rapid.T) {
		payload := drawPayload(rt, now)
		header, secret := plainHeader, quickSecret
		switch rapid.IntRange(0, 7).Draw(rt, "key") { // mostly the right one
		case 0, 1, 2:
			header, secret = `{"kid":"b","alg":"HS256"}`, []byte("fedcba9876543210fedcba9876543210")
		case 3:
			secret = []byte("fedcba9876543210fedcba9876543210")
		case 4:
			header = `{"alg":"none"}`
		}
		token := signed(t, header, payload, secret)
		if rapid.IntRange(0, 9).Draw(rt, "spoil") == 0 {
			i := rapid.IntRange(0, len(token)-1).Draw(rt, "at")
			token = token[:i] + rapid.SampledFrom([]string{"A", ".", "\n", "=", "_"}).Draw(rt, "with") + token[i+1:]
		}
		shopper, ok := v.quick.verify(token, now)
		if !ok {
			return
		}
		taken++
		var c registeredClaims
		_, err := v.parser.ParseWithClaims(token, &c, v.key)
		require.NoError(rt, err, payload)
		require.Equal(rt, c.Subject, shopper, payload)
		require.True(rt, order.ValidShopperID(c.Subject))
	})
	require.True(t, taken > 0 || testing.Short(), "with -short rapid draws 20 tokens only")
}

// drawPayload makes claims, most of them good, some odd.
func drawPayload(rt *rapid.T, now time.Time) string {
	odd := []string{`"x"`, `7`, `-1`, `1.5`, `1e9`, `null`, `true`, `[]`, `["shoppers","others"]`, `{"a":1}`, `"\u0034"`, `"é"`, `00`, `99999999999999`, `" "`, `[1]`}
	value := func(name string, good ...string) string {
		if rapid.IntRange(0, 15).Draw(rt, "odd "+name) == 0 {
			return rapid.SampledFrom(odd).Draw(rt, name)
		}
		return rapid.SampledFrom(good).Draw(rt, name)
	}
	when := func(d time.Duration) string { return strconv.FormatInt(now.Add(d).Unix(), 10) }
	var parts []string
	for _, c := range []struct {
		name string
		good []string
	}{
		{"iss", []string{`"seckill"`}},
		{"sub", []string{`"42"`, `"a-b_c"`, `"Abc"`}},
		{"aud", []string{`"shoppers"`, `["shoppers"]`, `["x","shoppers"]`}},
		{"exp", []string{when(time.Hour), when(time.Hour), when(-time.Hour)}},
		{"nbf", []string{when(-time.Hour), when(time.Hour)}},
		{"iat", []string{when(0)}},
		{"jti", []string{`"x"`}},
		{"verified", []string{`true`, `["a"]`, `"b"`, `12`}},
		{"Exp", []string{when(time.Hour)}},
	} {
		n := 1
		if c.name == "nbf" || c.name == "iat" || c.name == "jti" || c.name == "verified" || c.name == "Exp" {
			n = rapid.IntRange(0, 4).Draw(rt, "with "+c.name) / 4
		} else if rapid.IntRange(0, 19).Draw(rt, "times "+c.name) == 0 {
			n = rapid.IntRange(0, 2).Draw(rt, "n "+c.name)
		}
		for range n {
			parts = append(parts, fmt.Sprintf("%q:%s", c.name, value(c.name, c.good...)))
		}
	}
	parts = rapid.Permutation(parts).Draw(rt, "order")
	space := rapid.SampledFrom([]string{"", " ", "\n"}).Draw(rt, "space")
	end := rapid.SampledFrom([]string{"}", "}", "}", "}", "}", "}", "}", "}", "} ", ",}", "}}", ""}).Draw(rt, "end")
	return "{" + space + strings.Join(parts, space+","+space) + end
}

func BenchmarkVerify(b *testing.B) {
	v := quickVerifier(b)
	now := time.Now()
	token := signed(b, plainHeader, goodPayload(now), quickSecret)
	_, err := v.Verify(token)
	require.NoError(b, err)
	b.Run("quick", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := v.quick.verify(token, now); !ok {
				b.Fatal("refused")
			}
		}
	})
	b.Run("golang-jwt", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var c registeredClaims
			if _, err := v.parser.ParseWithClaims(token, &c, v.key); err != nil {
				b.Fatal(err)
			}
		}
	})
}
