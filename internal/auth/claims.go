package auth

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// claims are those that golang-jwt looks at.
type claims struct {
	subject, issuer    []byte
	audience           audience
	expires, notBefore int64 // Unix seconds
}

// valid: as golang-jwt has it, a token is good until the second it expires in.
// One that names no expiry expired in 1970.
func (c claims) valid(now time.Time) bool {
	return now.Before(time.Unix(c.expires, 0)) && !now.Before(time.Unix(c.notBefore, 0))
}

// audience is a string or a list of some.
type audience struct {
	names [4][]byte
	n     int
}

func (a *audience) holds(name string) bool {
	return slices.ContainsFunc(a.names[:a.n], func(b []byte) bool { return string(b) == name })
}

// readClaims reads a flat object of strings without escapes, whole numbers,
// booleans, and lists of strings. Everything else, a key said twice included,
// is not for it.
func readClaims(text []byte) (c claims, ok bool) {
	s := reader{text}
	if !s.take('{') {
		return c, false
	}
	var seen uint8
	for {
		key, ok := s.str()
		if !ok || !s.take(':') || !c.read(&s, key, &seen) {
			return c, false
		}
		if s.take(',') {
			continue
		}
		return c, s.take('}') && len(s.rest) == 0
	}
}

// read reads one claim.
func (c *claims) read(s *reader, key []byte, seen *uint8) (ok bool) {
	once := func(bit uint8) bool {
		again := *seen&bit != 0
		*seen |= bit
		return !again
	}
	switch string(key) {
	case "sub":
		c.subject, ok = s.str()
		return ok && once(1)
	case "iss":
		c.issuer, ok = s.str()
		return ok && once(2)
	case "aud":
		return s.audience(&c.audience) && once(4)
	case "exp":
		c.expires, ok = s.number()
		return ok && once(8)
	case "nbf":
		c.notBefore, ok = s.number()
		return ok && once(16)
	case "iat":
		_, ok = s.number()
		return ok && once(32)
	case "jti":
		_, ok = s.str()
		return ok && once(64)
	default:
		return s.skip()
	}
}

var registered = []string{"sub", "iss", "aud", "exp", "nbf", "iat", "jti"}

// registeredClaims are those of exactly these names. encoding/json also takes
// "SUB" for "sub", and the last one counts: a claim of the shop's own, perhaps of
// the shopper's choosing, would say whose token it is.
type registeredClaims struct{ jwt.RegisteredClaims }

func (c *registeredClaims) UnmarshalJSON(text []byte) error {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return err
	}
	maps.DeleteFunc(all, func(name string, _ json.RawMessage) bool { return !slices.Contains(registered, name) })
	exact, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return json.Unmarshal(exact, &c.RegisteredClaims)
}

// reader reads the plainest JSON only, and need not be told that it is any.
type reader struct{ rest []byte }

func (s *reader) space() {
	for len(s.rest) > 0 && (s.rest[0] == ' ' || s.rest[0] == '\n' || s.rest[0] == '\t' || s.rest[0] == '\r') {
		s.rest = s.rest[1:]
	}
}

func (s *reader) take(c byte) bool {
	s.space()
	if len(s.rest) == 0 || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// str reads a string of plain ASCII, which means what it says.
func (s *reader) str() ([]byte, bool) {
	if !s.take('"') {
		return nil, false
	}
	for i, c := range s.rest {
		switch {
		case c == '"':
			v := s.rest[:i]
			s.rest = s.rest[i+1:]
			return v, true
		case c == '\\' || c < ' ' || c > '~':
			return nil, false
		}
	}
	return nil, false
}

// number reads a whole number of at most 11 digits. It leaves what follows to
// the caller: nothing but a comma or a bracket may.
func (s *reader) number() (n int64, ok bool) {
	s.space()
	i := 0
	for i < len(s.rest) && s.rest[i] >= '0' && s.rest[i] <= '9' {
		n = n*10 + int64(s.rest[i]-'0')
		i++
	}
	if i == 0 || i > 11 || i > 1 && s.rest[0] == '0' {
		return 0, false
	}
	s.rest = s.rest[i:]
	return n, true
}

func (s *reader) audience(a *audience) (ok bool) {
	if !s.take('[') {
		a.names[0], ok = s.str()
		a.n = 1
		return ok
	}
	for a.n < len(a.names) {
		if a.names[a.n], ok = s.str(); !ok {
			return false
		}
		a.n++
		if !s.take(',') {
			return s.take(']')
		}
	}
	return false
}

// skip passes over the value of a claim of the shop's own.
func (s *reader) skip() bool {
	if _, ok := s.number(); ok {
		return true
	}
	for _, word := range [...]string{"true", "false"} {
		if rest, ok := bytes.CutPrefix(s.rest, []byte(word)); ok {
			s.rest = rest
			return true
		}
	}
	var others audience
	return s.audience(&others)
}
