//go:build e2e

package test

import (
	"encoding/csv"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/order"
)

// sheetCell is a cell of a spreadsheet, as its program has it.
type sheetCell struct {
	kind    string // string, float, date, percentage …; empty for an empty cell
	formula string
	text    string
}

// openedInCalc opens a CSV in LibreOffice, separated at these characters, and returns
// its rows.
func openedInCalc(t *testing.T, text string, separators ...rune) (rows [][]sheetCell) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "orders.csv")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	var codes []string
	for _, s := range separators {
		codes = append(codes, strconv.Itoa(int(s)))
	}
	const doubleQuote, utf8, firstLine = 34, 76, 1
	script(t, nil, "libreoffice", "-env:UserInstallation=file://"+dir+"/profile",
		fmt.Sprintf("--infilter=CSV:%s,%d,%d,%d", strings.Join(codes, "/"), doubleQuote, utf8, firstLine),
		"--convert-to", "fods", "--outdir", dir, file)
	doc, err := os.Open(filepath.Join(dir, "orders.fods"))
	require.NoError(t, err)
	defer doc.Close()
	return cellsOf(t, doc)
}

// cellsOf reads the rows of a flat OpenDocument spreadsheet.
func cellsOf(t *testing.T, doc io.Reader) (rows [][]sheetCell) {
	t.Helper()
	d := xml.NewDecoder(doc)
	var cell *sheetCell
	repeated, inText := 1, false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return rows
		}
		require.NoError(t, err)
		switch e := token.(type) {
		case xml.StartElement:
			switch e.Name.Local {
			case "table-row":
				rows = append(rows, nil)
			case "table-cell":
				cell, repeated = &sheetCell{}, 1
				for _, a := range e.Attr {
					switch a.Name.Local {
					case "formula":
						cell.formula = a.Value
					case "value-type":
						cell.kind = a.Value
					case "number-columns-repeated":
						repeated, err = strconv.Atoi(a.Value)
						require.NoError(t, err)
					}
				}
			case "p":
				inText = true
			case "tab":
				cell.text += "\t"
			case "s":
				cell.text += " "
			}
		case xml.CharData:
			if cell != nil && inText {
				cell.text += string(e)
			}
		case xml.EndElement:
			inText = inText && e.Name.Local != "p"
			if e.Name.Local == "table-cell" && repeated < 100 { // the rest of a row is empty
				for range repeated {
					rows[len(rows)-1] = append(rows[len(rows)-1], *cell)
				}
				cell = nil
			}
		}
	}
}

// What shoppers may choose: IDs that a number would not keep, and formulas.
var (
	hostileShoppers = []string{
		"0042", "7234567890123456789", "1E5", "1-2", "3/4", "12:30", "TRUE", "50%", "$5", "'0042", `"0042"`, "=1+1", "+1", "-1", "@SUM(A1)", `=cmd|'/C_calc'!A0`,
		"x;=1+1", ";=1+1", ";;=1+1", "x,=1+1", `x";=1+1`, `";=1+1`,
	}
	hostileReferences = []string{
		`x;=HYPERLINK("http://evil.example";"click")`, `x,=HYPERLINK("http://evil.example")`, " =1+1", "; =1+1", `";"=1+1`, "2026-11-11", "1 2/3", "", "cart-1", ";+1;-1;@A1",
	}
)

func TestAnExportIsTextInASpreadsheetWhateverSeparatesItsCells(t *testing.T) {
	s := newShop(t, beside(t), 1, 1)
	sale := s.sale(saleTerms{stock: 100})
	id, err := strconv.ParseInt(sale, 10, 64)
	require.NoError(t, err)
	ids := order.NewIDMaker(8000)
	var bought []order.Order
	for i, shopper := range hostileShoppers {
		o := order.Order{SaleID: id, ShopperID: shopper, Quantity: 1, Reference: hostileReferences[i%len(hostileReferences)]}
		o.ID, err = ids.Next()
		require.NoError(t, err)
		bought = append(bought, o)
	}
	_, err = s.store.Settle(t.Context(), bought)
	require.NoError(t, err)

	out, code := command(t, s.env, "", "sale", "report", sale, "--csv")
	require.Zero(t, code)
	raw, code := command(t, s.env, "", "sale", "report", sale, "--csv", "--raw")
	require.Zero(t, code)

	rows := openedInCalc(t, out, ',')
	require.Len(t, rows, len(bought)+1)
	for i, o := range bought {
		row := rows[i+1]
		require.Equal(t, sheetCell{"string", "", "'" + o.ID.String()}, row[0])
		require.Equal(t, "'"+string(o.ShopperID[0]), row[2].text[:2], "the quote, then the value")
		require.Equal(t, o.ShopperID, unquoted(row[2].text))
		require.Equal(t, o.Reference, unquoted(row[9].text))
		require.Equal(t, []sheetCell{{"float", "", "1"}, {"float", "", "9900"}, {"float", "", "9900"}}, row[3:6], "numbers can be added up")
		for _, at := range []int{10, 11, 12} {
			require.Regexp(t, `^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`, row[at].text)
		}
	}
	for name, separators := range map[string][]rune{"comma": {','}, "semicolon": {';'}, "tab": {'\t'}, "LibreOffice's own choice": {',', ';', '\t'}} {
		require.Empty(t, formulas(openedInCalc(t, out, separators...)), name)
	}
	require.NotEmpty(t, formulas(openedInCalc(t, raw, ';')), "the test sees formulas where there are some")
	require.NotEmpty(t, formulas(openedInCalc(t, raw, ',')))

	// A program reads both.
	for text, read := range map[string]func(string) string{out: unquoted, raw: strings.Clone} {
		lines, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		require.NoError(t, err)
		for i, o := range bought {
			row := lines[i+1]
			require.Equal(t, []string{o.ID.String(), o.ShopperID, o.Reference}, []string{read(row[0]), read(row[2]), read(row[9])})
		}
	}
}

// unquoted is a cell's value, as docs/operations.md tells how to get it.
func unquoted(cell string) string {
	return regexp.MustCompile(`(^|[,;\t\r\n])'`).ReplaceAllString(cell, "$1")
}

// formulas are the cells that are no text or number as it stands in the file.
func formulas(rows [][]sheetCell) (found []sheetCell) {
	for _, row := range rows {
		for _, c := range row {
			if c.formula != "" || c.kind != "" && c.kind != "string" && c.kind != "float" {
				found = append(found, c)
			}
		}
	}
	return found
}
