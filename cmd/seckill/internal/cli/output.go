package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"

	"seckill/admin"
)

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// columns aligns what is separated by tabs.
func columns(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) }

// list prints items: with --json their views, else a table.
func list[T, V any](p *process, items []T, view func(T) V, header string, row func(T) string) error {
	if p.json {
		return writeJSON(p.stdout, admin.Views(items, view))
	}
	t := columns(p.stdout)
	fmt.Fprintln(t, header)
	for _, item := range items {
		fmt.Fprintln(t, row(item))
	}
	return t.Flush()
}

// part cuts a list that was read one longer than it is to be, and says on stderr that
// there is more, and with rest how to get it.
func part[T any](p *process, items []T, limit int, rest func(last T) string) []T {
	if len(items) <= limit {
		return items
	}
	items = items[:limit]
	fmt.Fprintf(p.stderr, "only %d are shown, there are more: %s\n", limit, rest(items[limit-1]))
	return items
}

// listFields prints names and values.
func (p *process) listFields(fields [][2]string) error {
	t := columns(p.stdout)
	for _, f := range fields {
		fmt.Fprintf(t, "%s\t%s\n", f[0], f[1])
	}
	return t.Flush()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// plain replaces what a terminal would interpret.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}
