package cli

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/admin"
	"seckill/fleet"
)

// troubled is a view with problems.
func troubled() admin.LiveView {
	return admin.LiveView{
		At: "2026-11-21T20:00:00.000Z", Accepted: 900.4, Refused: 12000, Settled: 850, Backlog: new(int64(1700)),
		DrainSeconds: new(2.), ToResultP50: new(.0404), ToResultP99: new(1.26),
		BreakersOpen: map[string][]string{"rocketmq": {"api-1"}},
		Sales: []admin.LiveSaleView{{
			ID: "7", Title: "限量\x1b[2J", Status: "open", EndsAt: "2026-11-21T20:30:00.000Z", Loaded: true, Total: 1000, Available: 250, Pending: 50, Settled: 700,
		}},
		Instances: []admin.InstanceView{
			{Instance: fleet.Instance{ID: "api-1", Role: fleet.RoleAPI, Generation: 3}},
			{Instance: fleet.Instance{ID: "consumer-1", Role: fleet.RoleConsumer, Generation: 4}},
		},
		Away: []string{"mysql"},
	}
}

func TestAnUpdateIsOneLineWhereThereIsNoTerminal(t *testing.T) {
	t.Parallel()
	line := liveLine(troubled())
	require.Equal(t, "2026-11-21T20:00:00.000Z | sale 7 open, 250 of 1000 left, 50 pending, 700 settled | 900 accepted/s, 12000 refused/s, 850 settled/s"+
		" | backlog 1700, drained in 2s | result p50 40ms p99 1.3s | 1 api, 1 consumer | breaker open: rocketmq, in api-1"+
		" | instances have limits of different generations: seckill limits get | mysql does not respond: seckill doctor", line)
	require.Contains(t, liveLine(admin.LiveView{}), "no sale | 0 accepted/s, 0 refused/s, 0 settled/s | backlog -, drained in - | result p50 - p99 -")
}

func TestAPageHasNothingOfATitleThatWouldHarmATerminal(t *testing.T) {
	t.Parallel()
	page := strings.Join(liveLines(troubled(), func(_, text string) string { return text }), "\n")
	require.NotContains(t, page, "\x1b")
	for _, says := range []string{"限量?[2J  open, ends in 30m0s", "[##########..............................]  250 of 1000 left", "1700", "breaker open: rocketmq", "mysql does not respond: seckill doctor"} {
		require.Contains(t, page, says)
	}
}

func TestATerminalIsAsItWasAfterwards(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	s := &screen{out: w}
	s.open()
	require.NoError(t, s.draw(troubled()))
	s.close()
	require.NoError(t, w.Close())
	text, err := io.ReadAll(r)
	require.NoError(t, err)
	for on, off := range map[string]string{"\x1b[?1049h": "\x1b[?1049l", "\x1b[?25l": "\x1b[?25h", "\x1b[?7l": "\x1b[?7h"} {
		require.Equal(t, 1, strings.Count(string(text), on))
		require.Greater(t, strings.Index(string(text), off), strings.Index(string(text), on))
	}
	after := string(text[strings.LastIndex(string(text), leave):])
	require.Equal(t, leave+strings.Join(s.last, "\n")+"\n", after, "the last view stays, from the position of the cursor")
	require.Contains(t, after, "of 1000 left")
}

func TestOnlyATerminalThatWantsItIsDrawnOn(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	_, ok := (&process{stdout: w}).terminal()
	require.False(t, ok, "a pipe")
	_, ok = (&process{stdout: &strings.Builder{}}).terminal()
	require.False(t, ok)
	for _, args := range [][]string{{"sale", "watch", "--interval", "1ms"}, {"sale", "watch", "--count", "-1"}, {"sale", "watch", "x"}} {
		code, _, _ := command(t, nil, args...)
		require.Equal(t, exitUsage, code, args)
	}
}
