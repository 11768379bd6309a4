package auth

import (
	"errors"
	"slices"

	"github.com/golang-jwt/jwt/v5"
)

// TokenError is why a token was refused. It is ErrToken, and holds nothing of the token
// but its kid, if that is short and plain.
type TokenError struct{ cause, kid string }

// Refused returns a TokenError of a cause that a caller of Verify found.
func Refused(cause string) *TokenError { return &TokenError{cause: cause} }

func (e *TokenError) Error() string { return ErrToken.Error() + ": " + e.cause }

// Is reports whether target is ErrToken.
func (e *TokenError) Is(target error) bool { return target == ErrToken }

// Cause is one of a fixed set of words: see package denial.
func (e *TokenError) Cause() string { return e.cause }

// KeyID is the kid that the token names; empty for none, or one that is not to be
// logged.
func (e *TokenError) KeyID() string { return e.kid }

var (
	errHeader    = errors.New("header")
	errAlgorithm = errors.New("algorithm")
	errKey       = errors.New("no such key")
	errSubject   = errors.New("subject")
)

// methods are the algorithms of our keys.
var methods = []string{"HS256", "EdDSA", "RS256"}

// causes are what golang-jwt and we find wrong, the most telling first: a token may
// have several faults, and one that is forged or not for us may well be expired, too.
var causes = []struct {
	err   error
	cause string
}{
	{jwt.ErrTokenMalformed, "malformed"},
	{errHeader, "malformed"},
	{errAlgorithm, "algorithm"},
	{errKey, "key_unknown"},
	{jwt.ErrTokenSignatureInvalid, "signature"},
	{jwt.ErrTokenInvalidIssuer, "issuer"},
	{jwt.ErrTokenInvalidAudience, "audience"},
	{jwt.ErrTokenRequiredClaimMissing, "claim_missing"},
	{jwt.ErrTokenExpired, "expired"},
	{jwt.ErrTokenNotValidYet, "not_yet_valid"},
	{errSubject, "subject"},
}

// refused returns why a token is refused; t is what could be read of it.
func refused(t *jwt.Token, err error) *TokenError {
	e := &TokenError{cause: "malformed"}
	if t == nil {
		return e
	}
	if alg, ok := t.Header["alg"].(string); ok && !slices.Contains(methods, alg) && !errors.Is(err, jwt.ErrTokenMalformed) {
		err = errAlgorithm
	}
	for _, c := range causes {
		if errors.Is(err, c.err) {
			e.cause = c.cause
			break
		}
	}
	if kid, ok := t.Header["kid"].(string); ok && plainKeyID(kid) {
		e.kid = kid
	}
	return e
}

const longestKeyID = 32

func plainKeyID(kid string) bool {
	for i := range len(kid) {
		if kid[i] <= ' ' || kid[i] > '~' {
			return false
		}
	}
	return len(kid) <= longestKeyID
}
