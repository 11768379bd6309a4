// Package auth verifies the tokens (JWT) of shoppers and operators.
package auth

import (
	"cmp"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	lru "github.com/hashicorp/golang-lru/v2"

	"seckill/order"
)

// ErrToken is the error of an invalid token.
var ErrToken = errors.New("auth: token refused")

const (
	maxToken      = 4 << 10
	minSecret     = 32
	minRSABits    = 2048
	tokenShards   = 16
	defaultTokens = 1 << 17
)

// Options say which tokens are accepted.
type Options struct {
	Secrets  map[string][]byte           // HS256, by kid; 32 bytes or more
	Keys     map[string]crypto.PublicKey // ed25519.PublicKey (EdDSA) or *rsa.PublicKey (RS256), by kid
	Issuer   string
	Audience string
	// CacheSize is how many verified tokens are remembered until they expire;
	// 0 stands for 131,072 (about 20 MB when full).
	CacheSize int
}

// Verifier checks shoppers' bearer tokens: JWTs with a subject, an expiry, our
// issuer and audience, signed under the key that their kid names. A token
// without a kid is checked under the key named "". Each key has one algorithm,
// whatever the token says. Ordinary HS256 tokens are verified each time (see
// hs256); other valid ones are cached by digest, since golang-jwt takes 9 µs and
// 50 allocations.
type Verifier struct {
	keys   map[string]verifyKey
	quick  hs256
	parser *jwt.Parser
	shards [tokenShards]*lru.Cache[[sha256.Size]byte, verified]
}

type verifyKey struct {
	alg string
	key any
}

type verified struct {
	shopper string
	until   time.Time
}

// New checks the options: at least one key, none weak, an issuer and
// an audience.
func New(o Options) (*Verifier, error) {
	if o.Issuer == "" || o.Audience == "" {
		return nil, errors.New("auth: tokens need an issuer and an audience")
	}
	v := &Verifier{quick: hs256{issuer: o.Issuer, audience: o.Audience}, keys: make(map[string]verifyKey), parser: jwt.NewParser(
		jwt.WithValidMethods(methods),
		jwt.WithIssuer(o.Issuer), jwt.WithAudience(o.Audience),
		jwt.WithExpirationRequired(), jwt.WithStrictDecoding(),
	)}
	for kid, secret := range o.Secrets {
		if len(secret) < minSecret {
			return nil, fmt.Errorf("auth: token secret %q is shorter than %d bytes", kid, minSecret)
		}
		v.keys[kid] = verifyKey{"HS256", secret}
	}
	for kid, key := range o.Keys {
		if _, twice := v.keys[kid]; twice {
			return nil, fmt.Errorf("auth: two token keys named %q", kid)
		}
		k, err := publicKey(key)
		if err != nil {
			return nil, fmt.Errorf("auth: token key %q: %w", kid, err)
		}
		v.keys[kid] = k
	}
	if len(v.keys) == 0 {
		return nil, errors.New("auth: no key to check tokens with")
	}
	size := max(1, cmp.Or(o.CacheSize, defaultTokens)/tokenShards)
	for i := range v.shards {
		v.shards[i], _ = lru.New[[sha256.Size]byte, verified](size) // fails only for a size below 1
	}
	return v, nil
}

func publicKey(key crypto.PublicKey) (verifyKey, error) {
	switch k := key.(type) {
	case ed25519.PublicKey:
		return verifyKey{"EdDSA", k}, nil
	case *rsa.PublicKey:
		if k.N.BitLen() < minRSABits {
			return verifyKey{}, fmt.Errorf("%d bits are too few", k.N.BitLen())
		}
		return verifyKey{"RS256", k}, nil
	default:
		return verifyKey{}, fmt.Errorf("%T is not supported", key)
	}
}

// ParsePublicKey reads a public key in PEM (PKIX), for Options.Keys.
func ParsePublicKey(text []byte) (crypto.PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("auth: no PEM block")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("auth: public key: %w", err)
	}
	return key, nil
}

// Identity is what a token proves.
type Identity struct {
	Shopper string
	token   string
}

// Holds reports whether the token has the claim that a sale requires: see
// order.ParseClaim. It parses the token each time (4 µs), but only for sales that
// require a claim: caching the claims of all tokens would take memory.
func (i Identity) Holds(required string) bool {
	var claims map[string]any
	if i.claims(&claims) != nil {
		return false
	}
	name, value := order.ParseClaim(required)
	switch claim := claims[name].(type) {
	case bool:
		return claim && value == ""
	case string:
		return value != "" && claim == value
	case []any:
		return value != "" && slices.Contains(claim, any(value))
	default:
		return false
	}
}

// Registered returns the claims of the token that RFC 7519 registers.
func (i Identity) Registered() (jwt.RegisteredClaims, error) {
	var c registeredClaims
	err := i.claims(&c)
	return c.RegisteredClaims, err
}

func (i Identity) claims(v any) error {
	_, rest, _ := strings.Cut(i.token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	text, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrToken, err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%w: %w", ErrToken, err)
	}
	return nil
}

// Verify returns whose token it is. The error is ErrToken, as a *TokenError.
func (v *Verifier) Verify(token string) (Identity, error) {
	if len(token) > maxToken {
		return Identity{}, Refused("too_long")
	}
	if shopper, ok := v.quick.verify(token, time.Now()); ok {
		return Identity{shopper, token}, nil
	}
	digest := sha256.Sum256([]byte(token))
	cache := v.shards[digest[0]%tokenShards]
	if known, ok := cache.Get(digest); ok {
		if time.Now().Before(known.until) {
			return Identity{known.shopper, token}, nil
		}
		cache.Remove(digest)
		return Identity{}, Refused("expired")
	}
	var claims registeredClaims
	parsed, err := v.parser.ParseWithClaims(token, &claims, v.key)
	if err == nil && !order.ValidShopperID(claims.Subject) {
		err = errSubject
	}
	if err != nil {
		return Identity{}, refused(parsed, err)
	}
	kid, _ := parsed.Header["kid"].(string)
	if secret, ok := v.keys[kid].key.([]byte); ok {
		v.quick.learn(token, secret)
	}
	cache.Add(digest, verified{claims.Subject, claims.ExpiresAt.Time})
	return Identity{claims.Subject, token}, nil
}

// key returns the key that a token must be signed under.
func (v *Verifier) key(t *jwt.Token) (any, error) {
	if _, critical := t.Header["crit"]; critical {
		return nil, fmt.Errorf("%w: critical", errHeader)
	}
	kid, isString := t.Header["kid"].(string)
	if _, named := t.Header["kid"]; named && !isString {
		return nil, fmt.Errorf("%w: kid is no string", errHeader)
	}
	k, ok := v.keys[kid]
	if !ok || k.alg != t.Method.Alg() {
		return nil, errKey
	}
	return k.key, nil
}
