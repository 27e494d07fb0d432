package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/internal/view"
	"github.com/larder-go/larder/rfc9111"
	"github.com/larder-go/larder/store"
)

const (
	lifeWidth    = 60       // columns of the timeline
	previewBytes = 64 << 10 // of a body that are looked at
	previewLines = 12
	dumpBytes    = 64 // of a body that is no text
)

// utf8Locale reports whether the terminal shows more than ASCII, as far as the locale says.
func utf8Locale() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := os.Getenv(name); v != "" {
			return strings.Contains(strings.ToUpper(strings.ReplaceAll(v, "-", "")), "UTF8")
		}
	}
	return false
}

// showLife draws the spans of a response's life, with a mark at now, on the scale of view.Life.Place.
func showLife(w io.Writer, p rfc9111.Policy, r *store.Record, now time.Time, utf8 bool) error {
	life := view.Timeline(p, r, now)
	full, none, mark := "#", ".", "|"
	if utf8 {
		full, none, mark = "█", "·", "│"
	}
	column := func(t time.Time) int { return int(life.Place(t) * (lifeWidth - 1)) }
	fmt.Fprintln(w)
	for _, span := range life.Spans {
		from, to := column(span.From), column(span.To)
		var b strings.Builder
		for i := range lifeWidth {
			switch {
			case i == column(now):
				b.WriteString(mark)
			case i >= from && i <= to:
				b.WriteString(full)
			default:
				b.WriteString(none)
			}
		}
		if _, err := fmt.Fprintf(w, "  %-22s  %s\n", span.Name, b.String()); err != nil {
			return err
		}
	}
	return nil
}

// showPreview writes the beginning of the body, by its kind.
func showPreview(ctx context.Context, w io.Writer, c *larder.Cache, r *store.Record) error {
	if r.Size == 0 {
		return nil
	}
	body, err := c.Body(ctx, r)
	if err != nil {
		return err
	}
	defer body.Close()
	p, err := view.NewPreview(r, body, previewBytes)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "\n  (body: %s)\n", printable(previewKind(&p))); err != nil {
		return err
	}
	lines, more := previewText(&p)
	for _, line := range lines {
		if _, err := fmt.Fprintf(w, "  %s\n", line); err != nil {
			return err
		}
	}
	if more {
		_, err = fmt.Fprintln(w, "  (and more: --body writes all of it)")
	}
	return err
}

// previewKind describes the kind of a body.
func previewKind(p *view.Preview) string {
	kind := string(p.Kind)
	switch {
	case p.Format != "":
		return fmt.Sprintf("%s, %d by %d pixels", p.Format, p.Width, p.Height)
	case p.Unpacked:
		kind += ", unpacked from " + p.Coding
	case p.Range != "":
		kind += ", " + p.Range
	}
	return kind
}

// previewText returns the first lines of a body, and whether there are more. An image that can be measured has none.
func previewText(p *view.Preview) (lines []string, more bool) {
	var text string
	more = !p.Whole
	switch {
	case p.Kind == view.JSON:
		text = string(view.IndentJSON(p.Data))
	case p.Kind == view.Text, p.Kind == view.Markup, p.Kind == view.Part && view.LooksLikeText(p.Data):
		text = string(p.Data)
	case p.Kind == view.Image && p.Format != "":
		return nil, false
	default:
		text = hex.Dump(p.Data[:min(len(p.Data), dumpBytes)])
		more = more || len(p.Data) > dumpBytes
	}
	lines = strings.Split(strings.TrimRight(text, "\n"), "\n")
	more = more || len(lines) > previewLines
	lines = lines[:min(len(lines), previewLines)]
	for i, line := range lines {
		cells := strings.Split(strings.TrimSuffix(line, "\r"), "\t")
		for j := range cells {
			cells[j] = printable(cells[j])
		}
		lines[i] = strings.Join(cells, "    ")
	}
	return lines, more
}
