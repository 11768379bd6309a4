// Package checkup looks at what a sale stands on, and says of each thing whether
// it is well, and if not, what to do. It changes nothing. No password is in what
// it says.
package checkup

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Level is how well something is.
type Level string

// The levels, in rising order.
const (
	OK   Level = "ok"
	Warn Level = "warn" // it may sell, but somebody should know
	Fail Level = "fail"
)

// Finding is what was found of one thing.
type Finding struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"` // anything but Fail
	Level  Level  `json:"level"`
	Detail string `json:"detail"`
	Advice string `json:"advice,omitempty"` // what to do; empty when it is well
	Down   bool   `json:"-"`                // a server that does not answer
}

func well(name, format string, args ...any) Finding {
	return Finding{Name: name, OK: true, Level: OK, Detail: fmt.Sprintf(format, args...)}
}

func warning(name, advice, format string, args ...any) Finding {
	return Finding{Name: name, OK: true, Level: Warn, Detail: fmt.Sprintf(format, args...), Advice: advice}
}

func failure(name, advice, format string, args ...any) Finding {
	return Finding{Name: name, Level: Fail, Detail: fmt.Sprintf(format, args...), Advice: advice}
}

// rule is a finding of the worse level if bad, else that it is well.
func rule(bad bool, worse Level, name, advice, format string, args ...any) Finding {
	f := well(name, format, args...)
	if bad {
		f.Level, f.OK, f.Advice = worse, worse != Fail, advice
	}
	return f
}

// several makes one finding of what was found of one thing: the worst level, and
// every advice.
func several(name, detail string, found ...Finding) Finding {
	all := well(name, "%s", detail)
	rank := map[Level]int{OK: 0, Warn: 1, Fail: 2}
	var details, advice []string
	for _, f := range found {
		if f.Level == OK {
			continue
		}
		if rank[f.Level] > rank[all.Level] {
			all.Level, all.OK = f.Level, f.OK
		}
		details, advice = append(details, f.Detail), append(advice, f.Advice)
	}
	if detail != "" {
		details = append(details, detail)
	}
	all.Detail, all.Advice = strings.Join(details, "; "), strings.Join(advice, "; ")
	return all
}

// askTimeout bounds one question to a server.
const askTimeout = 5 * time.Second

// ask asks a server one thing, and reports how long that took.
func ask[T any](ctx context.Context, question func(context.Context) (T, error)) (v T, took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	began := time.Now()
	v, err = question(ctx)
	return v, time.Since(began), err
}

// How far the clock of a server or process may be from another one. Nothing that
// is promised rests on clocks, but shoppers' tokens and the shop's records do.
const (
	clockWarn = 500 * time.Millisecond
	clockFail = 5 * time.Second
)

const clockAdvice = "have NTP (chrony) set the clock of both machines"

// Clock compares a server's clock with this machine's.
func Clock(ctx context.Context, server string, now func(context.Context) (time.Time, error)) Finding {
	at, took, err := ask(ctx, now)
	if err != nil {
		return failure(server+" clock", "see "+server, "%s", err)
	}
	return clock(server+" clock", "this machine's", at.Sub(time.Now().Add(-took/2)), took/2)
}

// clock judges how far a clock is from another one, known to within slack.
func clock(name, than string, ahead, slack time.Duration) Finding {
	off := max(ahead.Abs()-slack, 0)
	word := "ahead of"
	if ahead < 0 {
		word = "behind"
	}
	switch {
	case off <= clockWarn:
		return well(name, "agrees with %s to within %s", than, (ahead.Abs() + slack).Round(time.Millisecond))
	case off <= clockFail:
		return warning(name, clockAdvice, "%s %s %s clock", ahead.Abs().Round(time.Millisecond), word, than)
	default:
		return failure(name, clockAdvice, "%s %s %s clock", ahead.Abs().Round(time.Millisecond), word, than)
	}
}
