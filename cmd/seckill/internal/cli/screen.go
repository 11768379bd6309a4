package cli

import (
	"fmt"
	"maps"
	"math"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/charmbracelet/x/ansi"
	"golang.org/x/term"

	"seckill/admin"
	"seckill/fleet"
)

// screen draws on the alternate screen of a terminal. Afterwards the terminal shows
// what it did before, and below it the last view.
type screen struct {
	out     *os.File
	last    []string
	resized chan os.Signal
}

// terminal returns stdout as a screen; false if it is no terminal, or plain lines
// are wanted.
func (p *process) terminal() (*screen, bool) {
	f, ok := p.stdout.(*os.File)
	if !ok || p.getenv("NO_COLOR") != "" || p.getenv("TERM") == "dumb" || !term.IsTerminal(int(f.Fd())) {
		return nil, false
	}
	return &screen{out: f}, true
}

// getenv returns a variable of the environment; the last definition counts.
func (p *process) getenv(name string) string {
	for _, kv := range slices.Backward(p.environ) {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value
		}
	}
	return ""
}

const (
	enter = "\x1b[?1049h\x1b[?25l\x1b[?7l" // alternate screen, no cursor, long lines are cut off
	leave = "\x1b[?7h\x1b[?25h\x1b[?1049l"
	home  = "\x1b[H"
	below = "\x1b[J"   // clear the rest of the screen
	next  = "\x1b[K\n" // clear the rest of the line, then the next one
	bold  = "\x1b[1m"
	red   = "\x1b[1;31m"
	usual = "\x1b[0m"
)

func (s *screen) open() {
	s.resized = make(chan os.Signal, 1)
	signal.Notify(s.resized, syscall.SIGWINCH)
	_, _ = s.out.WriteString(enter) // the next write fails as well
}

// close restores the terminal.
func (s *screen) close() {
	signal.Stop(s.resized)
	text := strings.Join(append(s.last, ""), "\n")
	_, _ = s.out.WriteString(leave + text) // nothing can be done about it
}

// draw replaces the view by one that fits the terminal.
func (s *screen) draw(v admin.LiveView) error {
	width, height, err := term.GetSize(int(s.out.Fd()))
	if err != nil || height <= 1 {
		width, height = math.MaxInt, math.MaxInt
	}
	s.last = liveLines(v, height-1, func(style, text string) string { return style + text + usual })
	for i, line := range s.last {
		s.last[i] = ansi.Truncate(line, width, "…")
	}
	_, err = s.out.WriteString(home + strings.Join(s.last, next) + next + below)
	return err
}

// sellingFirst sorts sales by what an operator watches: those that sell, then those
// that may sell again, the next ones, and those that are over.
func sellingFirst(sales []admin.LiveSaleView) []admin.LiveSaleView {
	rank := func(s admin.LiveSaleView) int { return slices.Index(statuses, s.Status) }
	return slices.SortedStableFunc(slices.Values(sales), func(a, b admin.LiveSaleView) int {
		if a.Status == "scheduled" && b.Status == a.Status {
			return strings.Compare(a.StartsAt, b.StartsAt)
		}
		return rank(a) - rank(b)
	})
}

// statuses are those of a LiveSaleView, in the order of sellingFirst.
var statuses = []string{"open", "sold_out", "paused", "scheduled", "ended"}

// liveLine formats an update as one line, for a log.
func liveLine(v admin.LiveView) string {
	parts := []string{v.At}
	for _, s := range sellingFirst(v.Sales) {
		parts = append(parts, fmt.Sprintf("sale %s %s, %d of %d left, %d pending, %d settled", s.ID, s.Status, s.Available, s.Total, s.Pending, s.Settled))
	}
	if len(v.Sales) == 0 {
		parts = append(parts, "no sale")
	}
	apis, consumers := roles(v.Instances)
	parts = append(parts,
		fmt.Sprintf("%.0f accepted/s, %.0f refused/s, %.0f settled/s", v.Accepted, v.Refused, v.Settled),
		fmt.Sprintf("backlog %s, drained in %s", amount(v.Backlog), seconds(v.DrainSeconds)),
		fmt.Sprintf("result p50 %s p99 %s", seconds(v.ToResultP50), seconds(v.ToResultP99)),
		fmt.Sprintf("%d api, %d consumer", apis, consumers))
	return strings.Join(append(parts, troubles(v)...), " | ")
}

// liveLines formats an update as a page of at most height lines; paint applies a style
// to a text. What is wrong comes first: where all else does not fit, that is seen.
func liveLines(v admin.LiveView, height int, paint func(style, text string) string) []string {
	head := []string{paint(bold, "seckill") + "  " + v.At}
	for _, t := range troubles(v) {
		head = append(head, paint(red, t))
	}
	head = append(head, "")
	rates := append(table(
		[]string{"accepted", "refused", "settled", "backlog", "drained in", "result p50", "result p99"},
		[]string{
			fmt.Sprintf("%.0f/s", v.Accepted), fmt.Sprintf("%.0f/s", v.Refused), fmt.Sprintf("%.0f/s", v.Settled),
			amount(v.Backlog), seconds(v.DrainSeconds), seconds(v.ToResultP50), seconds(v.ToResultP99),
		}), "")
	rows := [][]string{{"INSTANCE", "VERSION", "HOST", "LIMITS", "LOAD"}}
	for _, i := range v.Instances {
		rows = append(rows, []string{admin.Printable(i.ID), admin.Printable(i.Version), admin.Printable(i.Host), strconv.FormatUint(i.Generation, 10), loadLine(i.Instance)})
	}
	instances := table(rows...)

	room := height - len(head) - len(rates)
	// The sales come first; of what is scarce, instances get at least a third.
	sales := fitSales(v, room-min(len(instances), max(0, room/3)), paint)
	if left := max(0, room-len(sales)); len(instances) > left {
		hidden := len(instances) - max(0, left-1)
		instances = append(instances[:len(instances)-hidden], fmt.Sprintf("%d more lines of instances are not shown: seckill instances", hidden))
	}
	lines := slices.Concat(head, sales, rates, instances)
	return lines[:min(len(lines), height)]
}

// fitSales returns the lines of as many sales as fit, those that sell first, and says
// how many are not shown.
func fitSales(v admin.LiveView, room int, paint func(style, text string) string) (lines []string) {
	if len(v.Sales) == 0 {
		return []string{"no sale", ""}
	}
	sorted := sellingFirst(v.Sales)
	for i, s := range sorted {
		block := saleLines(s, v.At, paint)
		hint := 2 // the lines that say what is not shown
		if i == len(sorted)-1 {
			hint = 0
		}
		if len(lines)+len(block)+hint > room {
			return append(lines, hiddenSales(sorted[i:]), "")
		}
		lines = append(lines, block...)
	}
	return lines
}

func hiddenSales(sales []admin.LiveSaleView) string {
	count := map[string]int{}
	for _, s := range sales {
		count[s.Status]++
	}
	var parts []string
	for _, status := range statuses {
		if count[status] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[status], status))
		}
	}
	return fmt.Sprintf("%d more sales are not shown (%s): seckill sale list", len(sales), strings.Join(parts, ", "))
}

func saleLines(s admin.LiveSaleView, at string, paint func(style, text string) string) []string {
	const width = 40
	left := 0.
	if s.Total > 0 {
		left = min(1, max(0, float64(s.Available)/float64(s.Total)))
	}
	bar := int(math.Ceil(left * width))
	when := "ends " + until(at, s.EndsAt)
	if s.Status == "scheduled" {
		when = "starts " + until(at, s.StartsAt)
	}
	lines := []string{
		fmt.Sprintf("sale %s  %s  %s, %s", s.ID, plain(s.Title), paint(bold, s.Status), when),
		fmt.Sprintf("[%s%s]  %s of %d left, %d pending, %d settled", strings.Repeat("#", bar), strings.Repeat(".", width-bar),
			paint(bold, strconv.FormatInt(s.Available, 10)), s.Total, s.Pending, s.Settled),
	}
	if !s.Loaded {
		lines = append(lines, "not in Redis; stock is that of MySQL")
	}
	if s.OldestPending > 0 {
		lines = append(lines, "oldest pending order: "+duration(s.OldestPending))
	}
	return append(lines, "")
}

// troubles returns a line for each thing that is wrong.
func troubles(v admin.LiveView) (lines []string) {
	for _, name := range slices.Sorted(maps.Keys(v.BreakersOpen)) {
		lines = append(lines, fmt.Sprintf("breaker open: %s, in %s", name, strings.Join(v.BreakersOpen[name], ", ")))
	}
	generations := map[uint64]bool{}
	for _, i := range v.Instances {
		generations[i.Generation] = true
		if i.LimitsRefused != "" {
			lines = append(lines, admin.Printable(i.ID)+" refuses some limits: seckill limits get")
		}
	}
	if len(generations) > 1 {
		lines = append(lines, "instances have limits of different generations: seckill limits get")
	}
	for _, server := range v.Away {
		lines = append(lines, server+" does not respond: seckill doctor")
	}
	return lines
}

func roles(is []admin.InstanceView) (apis, consumers int) {
	for _, i := range is {
		if i.Role == fleet.RoleAPI {
			apis++
		} else {
			consumers++
		}
	}
	return apis, consumers
}

func amount(n *int64) string {
	if n == nil {
		return "-"
	}
	return strconv.FormatInt(*n, 10)
}

func seconds(s *float64) string {
	if s == nil {
		return "-"
	}
	return duration(*s)
}

// duration formats a time with as many digits as people need.
func duration(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}

// until formats the timestamp when relative to the timestamp at.
func until(at, when string) string {
	a, err1 := time.Parse(time.RFC3339, at)
	w, err2 := time.Parse(time.RFC3339, when)
	if err1 != nil || err2 != nil {
		return "at " + when
	}
	if d := w.Sub(a); d >= 0 {
		return "in " + duration(d.Seconds())
	}
	return duration(a.Sub(w).Seconds()) + " ago"
}

// table aligns rows in columns.
func table(rows ...[]string) []string {
	var text strings.Builder
	t := columns(&text)
	for _, r := range rows {
		fmt.Fprintln(t, strings.Join(r, "\t"))
	}
	_ = t.Flush() // to memory
	return strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
}
