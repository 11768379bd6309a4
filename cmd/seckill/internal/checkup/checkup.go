// Package checkup checks everything that a sale depends on. Each finding says
// whether something is in order and, if not, what to do. Checks leave nothing
// behind, and findings contain no passwords.
package checkup

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Level is the severity of a finding.
type Level string

// The levels, in ascending order.
const (
	OK   Level = "ok"
	Warn Level = "warn" // a sale can run, but an operator should know
	Fail Level = "fail"
)

// Finding is the result of one check.
type Finding struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"` // anything but Fail
	Level  Level  `json:"level"`
	Detail string `json:"detail"`
	Advice string `json:"advice,omitempty"` // what to do; empty when all is in order
	Down   bool   `json:"-"`                // the server does not answer
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

// rule is a finding of level worse if bad, else of level OK.
func rule(bad bool, worse Level, name, advice, format string, args ...any) Finding {
	f := well(name, format, args...)
	if bad {
		f.Level, f.OK, f.Advice = worse, worse != Fail, advice
	}
	return f
}

// several combines the findings about one thing: it has the worst level and all
// advice.
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

// askTimeout bounds one request to a server.
const askTimeout = 5 * time.Second

// ask sends one request to a server, and reports how long it took.
func ask[T any](ctx context.Context, question func(context.Context) (T, error)) (v T, took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	began := time.Now()
	v, err = question(ctx)
	return v, time.Since(began), err
}

// How far the clocks of servers and processes may be apart. No guarantee depends
// on clocks, but shoppers' tokens and the shop's records do.
const (
	clockWarn = 500 * time.Millisecond
	clockFail = 5 * time.Second
)

const clockAdvice = "let NTP (chrony) set the clocks of both machines"

// Clock compares a server's clock with this machine's.
func Clock(ctx context.Context, server string, now func(context.Context) (time.Time, error)) Finding {
	at, took, err := ask(ctx, now)
	if err != nil {
		return failure(server+" clock", "see "+server, "%s", err)
	}
	return clock(server+" clock", "this machine's", at.Sub(time.Now().Add(-took/2)), took/2)
}

// clock judges how far two clocks are apart, measured to within slack.
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

// Environment is the finding about variables that begin like settings and are none.
func Environment(strangers []string) Finding {
	const name = "environment"
	if strangers == nil {
		return well(name, "every SECKILL_ variable is a setting")
	}
	return warning(name, "correct or remove them, unless an orchestrator adds them; `seckill config --list` lists all settings",
		"no settings, and ignored: %s", strings.Join(strangers, ", "))
}
