package auth_test

import (
	"cmp"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"seckill/internal/auth"
)

const secretKey = "0123456789abcdef0123456789abcdef"

// sign makes a token that is valid but for what the claims say.
func sign(m jwt.SigningMethod, key any, kid any, claims jwt.MapClaims) string {
	all := jwt.MapClaims{"sub": "42", "iss": "iss", "aud": "aud", "exp": time.Now().Add(time.Hour).Unix()}
	for k, v := range claims {
		all[k] = v
		if v == nil {
			delete(all, k)
		}
	}
	t := jwt.NewWithClaims(m, all)
	if kid != nil {
		t.Header["kid"] = kid
	}
	text, err := t.SignedString(key)
	if err != nil {
		panic(err)
	}
	return text
}

func verifier(t *testing.T, o auth.Options) *auth.Verifier {
	t.Helper()
	o.Issuer, o.Audience = "iss", "aud"
	v, err := auth.New(o)
	require.NoError(t, err)
	return v
}

func TestVerifier_ChecksEachKeyByItsKid(t *testing.T) {
	t.Parallel()
	edPublic, edPrivate, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	rsaPrivate, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(&rsaPrivate.PublicKey)
	require.NoError(t, err)
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	rsaPublic, err := auth.ParsePublicKey(text)
	require.NoError(t, err)
	for _, broken := range []string{"", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"} {
		_, err = auth.ParsePublicKey([]byte(broken))
		require.Error(t, err)
	}
	v := verifier(t, auth.Options{
		Secrets: map[string][]byte{"": []byte(secretKey), "new": []byte(secretKey + "2")},
		Keys:    map[string]crypto.PublicKey{"ed": edPublic, "rsa": rsaPublic},
	})
	ed, rs, hs := jwt.SigningMethodEdDSA, jwt.SigningMethodRS256, jwt.SigningMethodHS256
	for _, good := range []string{sign(hs, []byte(secretKey), nil, nil), sign(hs, []byte(secretKey+"2"), "new", nil), sign(ed, edPrivate, "ed", nil), sign(rs, rsaPrivate, "rsa", nil)} {
		for range 2 {
			who, err := v.Verify(good)
			require.NoError(t, err)
			require.Equal(t, "42", who.Shopper)
		}
	}
	for _, bad := range []string{
		sign(hs, []byte(secretKey), "new", nil), sign(ed, edPrivate, "rsa", nil), sign(rs, rsaPrivate, nil, nil),
		sign(hs, text, "rsa", nil), sign(hs, []byte(edPublic), "ed", nil), // a public key is no secret
		sign(jwt.SigningMethodRS512, rsaPrivate, "rsa", nil),
	} {
		_, err := v.Verify(bad)
		require.ErrorIs(t, err, auth.ErrToken)
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	for _, o := range []auth.Options{
		{Issuer: "i", Audience: "a"},
		{Secrets: map[string][]byte{"": []byte(secretKey[1:])}, Issuer: "i", Audience: "a"},
		{Secrets: map[string][]byte{"": []byte(secretKey)}, Audience: "a"},
		{Secrets: map[string][]byte{"": []byte(secretKey)}, Issuer: "i"},
		{Keys: map[string]crypto.PublicKey{"x": &weak.PublicKey}, Issuer: "i", Audience: "a"},
		{Keys: map[string]crypto.PublicKey{"x": 1}, Issuer: "i", Audience: "a"},
		{Secrets: map[string][]byte{"x": []byte(secretKey)}, Keys: map[string]crypto.PublicKey{"x": edPublic}, Issuer: "i", Audience: "a"},
	} {
		_, err := auth.New(o)
		require.Error(t, err)
	}
}

func TestVerifier_RefusesABadToken(t *testing.T) {
	t.Parallel()
	hs, key := jwt.SigningMethodHS256, []byte(secretKey)
	good := sign(hs, key, nil, nil)
	critical := jwt.NewWithClaims(hs, jwt.MapClaims{"sub": "42", "iss": "iss", "aud": "aud", "exp": 1 << 40})
	critical.Header["crit"] = []string{"exp"}
	crit, err := critical.SignedString(key)
	require.NoError(t, err)
	v := verifier(t, auth.Options{Secrets: map[string][]byte{"": key}})
	_, err = v.Verify(good)
	require.NoError(t, err)
	causes := map[string]string{
		"alg none": "algorithm", "other algorithm": "algorithm", "wrong key": "signature", "unknown kid": "key_unknown",
		"expired": "expired", "never expires": "claim_missing", "not yet": "not_yet_valid", "wrong audience": "audience", "no audience": "claim_missing",
		"wrong issuer": "issuer", "empty subject": "subject", "no subject": "subject", "65 bytes": "subject", "space": "subject", "not ASCII": "subject",
		"another service's, and expired": "audience", "forged, and expired": "signature", "too long": "too_long", "unknown algorithm": "algorithm",
		"trailing signature": "signature",
	}
	for name, token := range map[string]string{
		"another service's, and expired": sign(hs, key, nil, jwt.MapClaims{"aud": "operators", "exp": 1}),
		"forged, and expired":            sign(hs, []byte(strings.Repeat("x", 40)), nil, jwt.MapClaims{"exp": 1}),
		"too long":                       sign(hs, key, nil, jwt.MapClaims{"pad": strings.Repeat("x", 4<<10)}),
		"unknown algorithm":              "eyJhbGciOiJYWVoifQ" + good[strings.IndexByte(good, '.'):],
		"empty":                          "",
		"garbage":                        "garbage",
		"alg none":                       sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, nil),
		"other algorithm":                sign(jwt.SigningMethodHS384, key, nil, nil),
		"wrong key":                      sign(hs, []byte(strings.Repeat("x", 40)), nil, nil),
		"unknown kid":                    sign(hs, key, "other", nil),
		"kid is no string":               sign(hs, key, 1, nil),
		"critical header":                crit,
		"expired":                        sign(hs, key, nil, jwt.MapClaims{"exp": time.Now().Add(-time.Second).Unix()}),
		"never expires":                  sign(hs, key, nil, jwt.MapClaims{"exp": nil}),
		"not yet":                        sign(hs, key, nil, jwt.MapClaims{"nbf": time.Now().Add(time.Minute).Unix()}),
		"wrong audience":                 sign(hs, key, nil, jwt.MapClaims{"aud": "operators"}),
		"no audience":                    sign(hs, key, nil, jwt.MapClaims{"aud": nil}),
		"wrong issuer":                   sign(hs, key, nil, jwt.MapClaims{"iss": "x"}),
		"empty subject":                  sign(hs, key, nil, jwt.MapClaims{"sub": ""}),
		"no subject":                     sign(hs, key, nil, jwt.MapClaims{"sub": nil}),
		"65 bytes":                       sign(hs, key, nil, jwt.MapClaims{"sub": strings.Repeat("a", 65)}),
		"space":                          sign(hs, key, nil, jwt.MapClaims{"sub": "a b"}),
		"not ASCII":                      sign(hs, key, nil, jwt.MapClaims{"sub": "ábc"}),
		"trailing signature":             good + "A",
		"no payload":                     good[:strings.IndexByte(good, '.')] + good[strings.LastIndexByte(good, '.'):],
	} {
		for range 2 { // a refused token is not remembered as a good one
			_, err := v.Verify(token)
			require.ErrorIs(t, err, auth.ErrToken, name)
			var refused *auth.TokenError
			require.ErrorAs(t, err, &refused, name)
			require.Equal(t, cmp.Or(causes[name], "malformed"), refused.Cause(), name)
		}
	}
}

func TestATokenErrorNamesAShortPlainKeyIDAlone(t *testing.T) {
	t.Parallel()
	v := verifier(t, auth.Options{Secrets: map[string][]byte{"": []byte(secretKey)}})
	for kid, want := range map[string]string{
		"2026-11": "2026-11", "other": "other", "": "", "a b": "", "a\nb": "", "schlüssel": "", strings.Repeat("k", 33): "", strings.Repeat("k", 32): strings.Repeat("k", 32),
	} {
		_, err := v.Verify(sign(jwt.SigningMethodHS256, []byte(secretKey+"x"), kid, nil))
		var refused *auth.TokenError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, want, refused.KeyID())
	}
}

// A shop may let its shoppers fill in a claim of its own.
func TestVerifier_TakesClaimsByTheirExactNames(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	v := verifier(t, auth.Options{Secrets: map[string][]byte{"": []byte(secretKey)}, Keys: map[string]crypto.PublicKey{"e": public}})
	for name, sign := range map[string]func(jwt.MapClaims) string{
		"HS256": func(c jwt.MapClaims) string { return sign(jwt.SigningMethodHS256, []byte(secretKey), nil, c) },
		"EdDSA": func(c jwt.MapClaims) string { return sign(jwt.SigningMethodEdDSA, private, "e", c) },
	} {
		for range 2 { // the second HS256 token goes the quick way
			for _, other := range []string{"SUB", "\u017fub"} { // encoding/json takes each for "sub"; the second stands behind it
				who, err := v.Verify(sign(jwt.MapClaims{other: "43", "IAT": 1, "JTI": "x"}))
				require.NoError(t, err, name)
				require.Equal(t, "42", who.Shopper, "%s, %s", name, other)
				c, err := who.Registered()
				require.NoError(t, err)
				require.Equal(t, "42", c.Subject)
				require.Empty(t, c.ID)
				require.Nil(t, c.IssuedAt)
			}
			_, err = v.Verify(sign(jwt.MapClaims{"exp": nil, "EXP": 1 << 40}))
			require.ErrorIs(t, err, auth.ErrToken, name)
			_, err = v.Verify(sign(jwt.MapClaims{"aud": nil, "AUD": "aud"}))
			require.ErrorIs(t, err, auth.ErrToken, name)
		}
	}
}

func TestVerifier_StillLetsAKnownTokenExpire(t *testing.T) {
	t.Parallel()
	edPublic, edPrivate, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		v := verifier(t, auth.Options{Secrets: map[string][]byte{"": []byte(secretKey)}, Keys: map[string]crypto.PublicKey{"ed": edPublic}})
		tokens := []string{sign(jwt.SigningMethodHS256, []byte(secretKey), nil, nil), sign(jwt.SigningMethodEdDSA, edPrivate, "ed", nil)}
		for _, want := range []error{nil, nil, auth.ErrToken, auth.ErrToken} {
			for _, token := range tokens {
				_, err := v.Verify(token)
				require.ErrorIs(t, err, want)
			}
			time.Sleep(time.Hour / 2)
		}
	})
}

func TestIdentity_HoldsTheClaimsOfItsToken(t *testing.T) {
	t.Parallel()
	v := verifier(t, auth.Options{Secrets: map[string][]byte{"": []byte(secretKey)}})
	token := sign(jwt.SigningMethodHS256, []byte(secretKey), nil, jwt.MapClaims{
		"verified_buyer": true, "banned": false, "word": "true", "empty": "", "one": 1, "nothing": nil, "tier": "gold",
		"groups": []string{"staff", "gold", ""}, "nested": map[string]any{"gold": true}, "a=b": true,
	})
	for range 2 { // the second time the token is known
		who, err := v.Verify(token)
		require.NoError(t, err)
		for required, holds := range map[string]bool{
			"verified_buyer": true, "verified_buyer=true": false, "Verified_buyer": false, "banned": false, "word": false, "word=true": true,
			"empty": false, "one": false, "one=1": false, "nothing": false, "absent": false, "tier": false, "tier=gold": true, "tier=Gold": false,
			"groups": false, "groups=gold": true, "groups=gol": false, "nested=gold": false, "sub": false, "sub=42": true, "aud=aud": true,
		} {
			require.Equal(t, holds, who.Holds(required), required)
		}
	}
	require.False(t, auth.Identity{}.Holds("verified_buyer"))
}
