package cli

import (
	"context"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

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
	page := strings.Join(liveLines(troubled(), 100, func(_, text string) string { return text }), "\n")
	require.NotContains(t, page, "\x1b")
	for _, says := range []string{"限量?[2J  open, ends in 30m0s", "[##########..............................]  250 of 1000 left", "1700", "breaker open: rocketmq", "mysql does not respond: seckill doctor"} {
		require.Contains(t, page, says)
	}
}

// crowded is a view of sales with these statuses, in this order.
func crowded(statuses ...string) (v admin.LiveView) {
	v = troubled()
	v.Sales = nil
	for i, status := range statuses {
		v.Sales = append(v.Sales, admin.LiveSaleView{
			ID: strconv.Itoa(i), Title: strings.Repeat("限量", 60), Status: status, Loaded: true, Total: 10, StartsAt: "2026-11-2" + strconv.Itoa(9-i) + "T20:00:00.000Z",
		})
	}
	return v
}

func TestWhatSellsIsShownFirstAndWhatDoesNotFitIsCounted(t *testing.T) {
	t.Parallel()
	v := crowded("ended", "scheduled", "scheduled", "paused", "open", "sold_out", "open")
	unpainted := func(_, text string) string { return text }
	require.Equal(t, "4 6 5 3 2 1 0", ids(liveLines(v, 1000, unpainted)))
	require.Regexp(t, `sale 4 open.*sale 6 open.*sale 5 sold_out.*sale 0 ended`, liveLine(v))
	for height := range 60 {
		lines := liveLines(v, height, unpainted)
		require.LessOrEqual(t, len(lines), height)
		page := strings.Join(lines, "\n")
		if height >= 4 {
			require.Contains(t, page, "mysql does not respond", "what is wrong is always seen")
		}
		shown := strings.Fields(ids(lines))
		require.Equal(t, strings.Fields("4 6 5 3 2 1 0")[:len(shown)], shown, height)
		if height >= 15 {
			require.NotEmpty(t, shown, height)
			require.Equal(t, len(shown) < 7, strings.Contains(page, strconv.Itoa(7-len(shown))+" more sales are not shown"), page)
			require.Contains(t, page, "drained in")
			require.Regexp(t, "consumer-1|lines of instances are not shown", page)
		}
	}
	require.Contains(t, strings.Join(liveLines(v, 22, unpainted), "\n"), "4 more sales are not shown (1 paused, 2 scheduled, 1 ended): seckill sale list")
}

// ids are the sales of a page, in their order.
func ids(lines []string) string {
	var found []string
	for _, l := range lines {
		if words := strings.Fields(l); len(words) > 1 && words[0] == "sale" {
			found = append(found, words[1])
		}
	}
	return strings.Join(found, " ")
}

func TestAPageFitsTheWindowWhateverItsSizeBecomes(t *testing.T) {
	t.Parallel()
	person, terminal := ptyOf(t)
	resize := func(width, height uint16) {
		t.Helper()
		require.NoError(t, unix.IoctlSetWinsize(int(person.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: height, Col: width}))
	}
	resize(50, 12)
	p := &process{stdout: terminal}
	view := p.liveView()
	screen, ok := p.terminal()
	require.True(t, ok)
	for _, size := range [][2]int{{50, 12}, {20, 8}, {200, 50}, {1, 2}} {
		resize(uint16(size[0]), uint16(size[1]))
		require.NoError(t, screen.draw(crowded("open", "open", "scheduled")))
		require.LessOrEqual(t, len(screen.last), size[1]-1)
		for _, line := range screen.last {
			require.LessOrEqual(t, ansi.StringWidth(line), size[0], line)
		}
		_, err := person.Read(make([]byte, 1<<16))
		require.NoError(t, err)
	}

	shown := make(chan struct{}, 1)
	view.show = func(admin.LiveView) error { shown <- struct{}{}; return nil }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan bool, 1)
	go func() {
		over, _ := view.wait(ctx, troubled(), nil)
		ended <- over
	}()
	require.NoError(t, unix.Kill(unix.Getpid(), unix.SIGWINCH))
	<-shown
	cancel()
	require.True(t, <-ended)
	view.end()
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
