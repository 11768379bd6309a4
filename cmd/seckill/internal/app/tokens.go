package app

import (
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	adminhttp "seckill/admin/http"
	"seckill/internal/auth"
	"seckill/internal/config"
	"seckill/order"
)

func newVerifier(keys config.Auth) (*auth.Verifier, error) {
	return verifier("SECKILL_JWT_PUBLIC_KEYS", keys.JWTPublicKeys,
		auth.Options{Secrets: keys.JWTSecrets, Issuer: keys.Issuer, Audience: keys.Audience})
}

// verifier reads the public keys of a setting from their files.
func verifier(setting string, files map[string]string, opts auth.Options) (*auth.Verifier, error) {
	opts.Keys = map[string]crypto.PublicKey{}
	for kid, path := range files {
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", setting, err)
		}
		if opts.Keys[kid], err = auth.ParsePublicKey(pem); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", setting, path, err)
		}
	}
	return auth.New(opts)
}

// operatorVerifier verifies operators' tokens, which have keys and an audience of
// their own. The claim `role` says what they may do.
type operatorVerifier struct {
	verifier *auth.Verifier
	longest  time.Duration // that a token may be valid
	denied   []string      // jti
}

// clockSkew is how far the clock of an issuer may be ahead.
const clockSkew = time.Minute

// rememberedOperators bounds the cache of verified tokens.
const rememberedOperators = 1024

func newOperatorVerifier(cfg config.Config) (operatorVerifier, error) {
	if cfg.Admin.Audience == cfg.Auth.Audience {
		return operatorVerifier{}, errors.New("SECKILL_ADMIN_JWT_AUDIENCE is SECKILL_JWT_AUDIENCE: operators need one of their own")
	}
	v, err := verifier("SECKILL_ADMIN_JWT_PUBLIC_KEYS", cfg.Admin.JWTPublicKeys, auth.Options{
		Secrets: cfg.Admin.JWTSecrets, Issuer: cfg.Auth.Issuer, Audience: cfg.Admin.Audience, CacheSize: rememberedOperators,
	})
	return operatorVerifier{v, cfg.Admin.TokenLifetime, cfg.Admin.DeniedTokens}, err
}

// Operator returns the operator of a token; without a role if the token has none. A
// token that is denied, or valid for longer than an operator's may be, is refused.
func (t operatorVerifier) Operator(token string) (order.Operator, error) {
	who, err := t.verifier.Verify(token)
	if err != nil {
		return order.Operator{}, err
	}
	c, err := who.Registered()
	if err != nil {
		return order.Operator{}, err
	}
	from := time.Now() // of a token that does not say when it was issued
	if c.IssuedAt != nil {
		// Dated ahead by more than clocks differ, it would be valid for longer.
		from = from.Add(min(c.IssuedAt.Sub(from), clockSkew))
	}
	switch {
	case c.ExpiresAt.Sub(from) > t.longest:
		return order.Operator{}, auth.Refused("lifetime")
	case c.ID != "" && slices.Contains(t.denied, c.ID):
		return order.Operator{}, auth.Refused("denied")
	}
	for _, role := range adminhttp.Roles() {
		if who.Holds("role=" + role) {
			return order.Operator{Name: who.Shopper, Role: role}, nil
		}
	}
	return order.Operator{Name: who.Shopper}, nil
}

// TokenTerms are what all tokens of one kind have in common.
type TokenTerms struct {
	secrets          map[string][]byte
	setting          string // of the secrets
	issuer, audience string
	role             string // of operators
}

// ShopperTokens are the terms of shoppers' tokens.
func ShopperTokens(c config.Config) TokenTerms {
	return TokenTerms{c.Auth.JWTSecrets, "SECKILL_JWT_SECRETS", c.Auth.Issuer, c.Auth.Audience, ""}
}

// OperatorTokens are the terms of the tokens of operators with a role.
func OperatorTokens(c config.Config, role string) TokenTerms {
	return TokenTerms{c.Admin.JWTSecrets, "SECKILL_ADMIN_JWT_SECRETS", c.Auth.Issuer, c.Admin.Audience, role}
}

// claims are the claims of our tokens.
type claims struct {
	jwt.RegisteredClaims

	Role string `json:"role,omitempty"`
}

// NewMinter returns a function that signs the token of a subject with the
// first secret (by key ID).
func NewMinter(terms TokenTerms, expires time.Time) (func(subject string) (string, error), error) {
	kids := slices.Sorted(maps.Keys(terms.secrets))
	if len(kids) == 0 {
		return nil, fmt.Errorf("tokens are signed with a secret of %s: there is none", terms.setting)
	}
	return func(subject string) (string, error) {
		t := jwt.NewWithClaims(jwt.SigningMethodHS256, claims{jwt.RegisteredClaims{
			ID: rand.Text(), Subject: subject, Issuer: terms.issuer, Audience: jwt.ClaimStrings{terms.audience},
			IssuedAt: jwt.NewNumericDate(time.Now()), ExpiresAt: jwt.NewNumericDate(expires),
		}, terms.role})
		if kids[0] != "" {
			t.Header["kid"] = kids[0]
		}
		return t.SignedString(terms.secrets[kids[0]])
	}, nil
}
