package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	prettytable "github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/larder-go/larder/internal/har"
)

// printable returns s with all that a terminal would obey, or show as something else, escaped as in Go: control
// characters, direction marks, bytes that are not UTF-8.
func printable(s string) string {
	if !strings.ContainsFunc(s, unprintable) {
		return s
	}
	b := make([]byte, 0, len(s)+16)
	for i, r := range s {
		_, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b = fmt.Appendf(b, `\x%02x`, s[i])
		case unprintable(r):
			q := strconv.QuoteRuneToASCII(r)
			b = append(b, q[1:len(q)-1]...)
		default:
			b = append(b, s[i:i+size]...)
		}
	}
	return string(b)
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }

// writeResult writes v as JSON, or else what write writes.
func writeResult(cmd *cobra.Command, asJSON bool, v any, write func(io.Writer) error) error {
	if asJSON {
		return writeJSON(cmd.OutOrStdout(), v)
	}
	return buffered(cmd, write)
}

// buffered calls do with a buffered standard output. do may ignore errors of writing: they are returned in the end.
func buffered(cmd *cobra.Command, do func(io.Writer) error) error {
	w := bufio.NewWriter(cmd.OutOrStdout())
	err := do(w)
	return cmp.Or(err, w.Flush())
}

// writeJSON writes v as one line, with all escaped that a terminal would obey.
func writeJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	line := har.AppendText(nil, bytes.TrimSuffix(b.Bytes(), []byte("\n")), false) // such characters are only in strings
	_, err := w.Write(append(line, '\n'))
	return err
}

// column is a column of a table. A cell that is wider moves the rest of its line. The last column has no width.
type column struct {
	name  string
	width int // negative: aligned to the left
}

// table writes each row as it comes, so that a long table takes no memory. The head is written before the first row.
type table struct {
	w       io.Writer
	columns []column
	lines   prettytable.Writer // nil: not begun
}

func (t *table) row(cells ...string) error {
	if t.lines == nil {
		t.begin()
		names := make([]string, len(t.columns))
		for i, c := range t.columns {
			names[i] = c.name
		}
		if err := t.row(names...); err != nil {
			return err
		}
	}
	row := make(prettytable.Row, len(cells))
	for i, cell := range cells {
		row[i] = printable(cell)
	}
	t.lines.ResetRows()
	t.lines.AppendRow(row)
	_, err := fmt.Fprintln(t.w, strings.TrimRight(t.lines.Render(), " "))
	return err
}

func (t *table) begin() {
	t.lines = prettytable.NewWriter()
	t.lines.SetStyle(prettytable.Style{Box: prettytable.BoxStyle{MiddleVertical: "  "}, Options: prettytable.Options{SeparateColumns: true}})
	configs := make([]prettytable.ColumnConfig, len(t.columns))
	for i, c := range t.columns {
		align := text.AlignRight
		if c.width <= 0 {
			align = text.AlignLeft
		}
		configs[i] = prettytable.ColumnConfig{Number: i + 1, WidthMin: max(c.width, -c.width), Align: align}
	}
	t.lines.SetColumnConfigs(configs)
}

// detail writes one line of a description: a name and a text.
func detail(w io.Writer, name, format string, a ...any) error {
	_, err := fmt.Fprintf(w, "%-10s %s\n", name, printable(fmt.Sprintf(format, a...)))
	return err
}

// detailOf is detail for a number of responses; name is what was done with them.
func detailOf(w io.Writer, name string, responses int, bytes int64, seconds float64) error {
	return detail(w, name, "%s, %s in %s", countText(responses, "response"), bytesText(bytes), tookText(seconds))
}

// secondsSince returns the time since then in seconds, to the millisecond, for JSON.
func secondsSince(began time.Time) float64 {
	return time.Since(began).Round(time.Millisecond).Seconds()
}

// writeHeader writes header fields by name, each line after indent.
func writeHeader(w io.Writer, indent string, h http.Header) error {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		values := h[name]
		if len(values) == 0 {
			values = []string{"(none)"} // in Selecting: the request did not have the field
		}
		for _, v := range values {
			if _, err := fmt.Fprintf(w, "%s%s: %s\n", indent, printable(name), printable(v)); err != nil {
				return err
			}
		}
	}
	return nil
}
