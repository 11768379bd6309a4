package order

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
)

// Limits are the limits that operators have set, by the name of the setting. For
// those not in Values, each process uses its own configuration.
type Limits struct {
	Generation uint64 // raised by each change, from 1; 0 stands for limits never read
	Values     map[string]json.Number
}

// Equal reports whether l and other are the same.
func (l Limits) Equal(other Limits) bool {
	return l.Generation == other.Generation && maps.Equal(l.Values, other.Values)
}

// LimitsChange is an operator's command to change some limits. The caller has
// checked names and values.
type LimitsChange struct {
	Command      string // as an Operation's
	By           Operator
	IfGeneration uint64                  // the generation that the limits must have; 0 for any
	Values       map[string]*json.Number // nil: as configured again
}

// What is what the command does: its name stands for these values.
func (c LimitsChange) What() string {
	digest := sha256.Sum256(document(c.Values))
	return "limits " + hex.EncodeToString(digest[:16])
}

// Over returns l with the changes, in the next generation, or l if nothing changes.
// The error is ErrStale.
func (c LimitsChange) Over(l Limits) (Limits, error) {
	if c.IfGeneration != 0 && c.IfGeneration != l.Generation {
		return l, fmt.Errorf("%w: the limits have generation %d, not %d", ErrStale, l.Generation, c.IfGeneration)
	}
	next := Limits{Generation: l.Generation + 1, Values: map[string]json.Number{}}
	maps.Copy(next.Values, l.Values)
	for name, v := range c.Values {
		delete(next.Values, name)
		if v != nil {
			next.Values[name] = *v
		}
	}
	if maps.Equal(next.Values, l.Values) {
		return l, nil
	}
	return next, nil
}

// Entry is the audit entry: what changed, with null for values as configured.
func (c LimitsChange) Entry(before, after Limits) AuditEntry {
	was, is := map[string]any{"generation": before.Generation}, map[string]any{"generation": after.Generation}
	for name := range c.Values {
		old, set := before.Values[name]
		now, sets := after.Values[name]
		if set == sets && old == now {
			continue
		}
		was[name], is[name] = nil, nil
		if set {
			was[name] = old
		}
		if sets {
			is[name] = now
		}
	}
	return AuditEntry{By: c.By, Action: "limits", Target: "limits", Before: document(was), After: document(is), Command: c.Command}
}
