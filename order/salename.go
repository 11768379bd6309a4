package order

import (
	"fmt"
	"strconv"
	"strings"
)

// SaleName is how operators name a sale: by its ID or its external ID, with "id:" or
// "ext:" before it to say which.
type SaleName struct {
	ID       int64  // 0: it is no ID
	External string // empty: it is no external ID
	text     string
}

// ParseSaleName reads a name. A decimal number alone may be either.
func ParseSaleName(s string) (SaleName, error) {
	n := SaleName{text: s, External: s}
	external, isExternal := strings.CutPrefix(s, "ext:")
	digits, isID := strings.CutPrefix(s, "id:")
	if isExternal {
		n.External = external
	} else if id, err := strconv.ParseInt(digits, 10, 64); err == nil && id > 0 && strconv.FormatInt(id, 10) == digits {
		n.ID = id
	}
	if isID {
		n.External = ""
	}
	if n.ID == 0 && (n.External == "" || !validExternalID(n.External)) {
		return n, fmt.Errorf("a sale is named by its ID or its external ID, such as 1234, id:1234 or ext:drop-7, got %q", s)
	}
	return n, nil
}

func (n SaleName) String() string { return n.text }

// Pick returns the one sale of that name among those that a store found for it. The
// errors are ErrNotFound, and ErrConflict for a number that is the ID of one sale and
// the external ID of another.
func (n SaleName) Pick(found []Sale) (Sale, error) {
	switch len(found) {
	case 0:
		return Sale{}, fmt.Errorf("sale %s: %w", n, ErrNotFound)
	case 1:
		return found[0], nil
	default:
		return Sale{}, fmt.Errorf("%w: %s is the ID of one sale and the external ID of another: write id:%s or ext:%s", ErrConflict, n, n, n)
	}
}

// Is reports whether s has that name.
func (n SaleName) Is(s Sale) bool {
	return n.ID != 0 && s.ID == n.ID || n.External != "" && s.ExternalID == n.External
}
