package order

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
)

// Limits are what operators have set of the limits that the processes work
// under, by the name of the setting. What is not in Values is, in each process,
// as that one is configured.
type Limits struct {
	Generation uint64 // raised by each change, from 1; 0 stands for limits never read
	Values     map[string]json.Number
}

// Equal reports whether nothing differs.
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

// What is the command: its name stands for these values.
func (c LimitsChange) What() string {
	digest := sha256.Sum256(document(c.Values))
	return "limits " + hex.EncodeToString(digest[:16])
}

// Over returns l changed, of the next generation; l itself when nothing changes.
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

// Entry is the row of the audit log: what changed, null for what was or is as
// configured.
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

// Limits returns what operators have set: one read by primary key.
func (s *Store) Limits(ctx context.Context) (Limits, error) {
	l, err := readLimits(ctx, s.db, "")
	if err != nil {
		return Limits{}, fmt.Errorf("order: limits: %w", err)
	}
	return l, nil
}

// ChangeLimits changes limits, once for all calls with the same command, and
// returns them as they are then, with the row of the audit log in the same
// transaction. The errors are ErrInvalid, ErrStale, and ErrReused when the
// command's name stands for another one.
func (s *Store) ChangeLimits(ctx context.Context, c LimitsChange) (l Limits, err error) {
	if err := ValidateCommand(c.Command); err != nil {
		return Limits{}, err
	}
	err = s.retry(ctx, "change limits", func(int) error {
		return s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			l, err = changeLimits(ctx, tx, c)
			return err
		})
	})
	return l, err
}

func changeLimits(ctx context.Context, tx *sql.Tx, c LimitsChange) (Limits, error) {
	n, _, err := exec(ctx, tx, insertCommand, c.Command, 0, c.What())
	if err != nil {
		return Limits{}, err
	}
	before, err := readLimits(ctx, tx, " FOR UPDATE")
	if err != nil {
		return Limits{}, err
	}
	if n == 0 { // run before
		return before, sameCommand(ctx, tx, c.Command, 0, c.What())
	}
	after, err := c.Over(before)
	if err != nil || after.Generation == before.Generation {
		return before, err
	}
	settings, err := json.Marshal(after.Values)
	if err != nil {
		return before, err
	}
	if _, err = tx.ExecContext(ctx, `UPDATE limits SET generation = ?, settings = ?, changed_at = NOW(3) WHERE id = 1`,
		after.Generation, string(settings)); err != nil {
		return before, err
	}
	return after, writeAudit(ctx, tx, c.Entry(before, after))
}

func readLimits(ctx context.Context, db rowQueryer, lock string) (l Limits, err error) {
	var settings string
	err = db.QueryRowContext(ctx, `SELECT generation, settings FROM limits WHERE id = 1`+lock).Scan(&l.Generation, &settings)
	if err == nil {
		err = json.Unmarshal([]byte(settings), &l.Values)
	}
	return l, err
}
