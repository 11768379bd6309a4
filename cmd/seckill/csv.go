package main

import (
	"bufio"
	"io"
	"strings"
)

// csvWriter writes lines as RFC 4180 has them, for spreadsheets: every cell is
// quoted, and one that a spreadsheet would take for a formula begins with a single
// quote, as OWASP advises. Shoppers choose what is in some cells.
type csvWriter struct{ to *bufio.Writer }

func newCSVWriter(w io.Writer) csvWriter { return csvWriter{bufio.NewWriterSize(w, 64<<10)} }

// line writes one; the error of an earlier one comes again.
func (c csvWriter) line(cells ...string) error {
	for i, cell := range cells {
		if i > 0 {
			_ = c.to.WriteByte(',') // its error stays until the last write
		}
		_, _ = c.to.WriteString(csvCell(cell))
	}
	_, err := c.to.WriteString("\r\n")
	return err
}

func csvCell(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) {
		cell = "'" + cell
	}
	return `"` + strings.ReplaceAll(cell, `"`, `""`) + `"`
}
