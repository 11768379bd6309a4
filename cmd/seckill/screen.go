package main

import (
	"os"
	"slices"
	"strings"

	"golang.org/x/term"

	"seckill/admin"
)

// screen draws on a terminal, on its second page: what was there before is there
// again afterwards, and below it the last view.
type screen struct {
	out  *os.File
	last []string
}

// terminal is stdout as a screen; false where it is none, or wants plain lines.
func (p *process) terminal() (*screen, bool) {
	f, ok := p.stdout.(*os.File)
	if !ok || p.getenv("NO_COLOR") != "" || p.getenv("TERM") == "dumb" || !term.IsTerminal(int(f.Fd())) {
		return nil, false
	}
	return &screen{out: f}, true
}

// getenv is a variable of the process's environment; the last one counts.
func (p *process) getenv(name string) string {
	for _, kv := range slices.Backward(p.environ) {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value
		}
	}
	return ""
}

const (
	enter = "\x1b[?1049h\x1b[?25l\x1b[?7l" // second page, no cursor, lines that are too long end at the edge
	leave = "\x1b[?7h\x1b[?25h\x1b[?1049l"
	home  = "\x1b[H"
	below = "\x1b[J"   // is cleared
	next  = "\x1b[K\n" // what is right of the cursor; then the next line
	bold  = "\x1b[1m"
	red   = "\x1b[1;31m"
	usual = "\x1b[0m"
)

func (s *screen) open() { _, _ = s.out.WriteString(enter) } // what follows fails as well

// close has the terminal as it was.
func (s *screen) close() {
	text := strings.Join(append(s.last, ""), "\n")
	_, _ = s.out.WriteString(leave + text) // nothing to be done about it any more
}

// draw shows a view in place of the one before, as much as there is room for.
func (s *screen) draw(v admin.LiveView) error {
	s.last = liveLines(v, func(style, text string) string { return style + text + usual })
	lines := s.last
	if _, height, err := term.GetSize(int(s.out.Fd())); err == nil && height > 0 {
		lines = lines[:min(len(lines), height-1)]
	}
	_, err := s.out.WriteString(home + strings.Join(lines, next) + next + below)
	return err
}
