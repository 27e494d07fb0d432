package main

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// target is what larder wants to reach: at most limit.
type target struct {
	text  string
	limit float64
	value func(*contest, *entry) float64
}

func overFloor(limit float64) target {
	return target{"× floor", limit, func(c *contest, e *entry) float64 { return e.ratio(cpu, nil, c.entry("floor")) }}
}

func overNone(limit float64) target {
	return target{"× no cache", limit, func(c *contest, e *entry) float64 { return e.ratio(cpu, nil, c.entry("no cache")) }}
}

func overBare(limit float64) target {
	return target{"× bare", limit, (*contest).overBare}
}

func beyondNone(limit float64) target {
	return target{"µs CPU above no cache", limit, func(c *contest, e *entry) float64 {
		return e.beyond(c.entry("no cache")) / 1e3
	}}
}

func cpuMicros(limit float64) target {
	return target{"µs CPU", limit, func(_ *contest, e *entry) float64 { return e.min(cpu) / 1e3 }}
}

func allocations(limit float64) target {
	return target{"allocations", limit, func(_ *contest, e *entry) float64 { return e.median(allocs) }}
}

func allocated(limit float64) target {
	return target{"B", limit, func(_ *contest, e *entry) float64 { return e.median(heapBytes) }}
}

// overBare is what e costs beyond c.base, in units of the bare read or write of the same bytes.
func (c *contest) overBare(e *entry) float64 {
	by := c.by
	if by == nil {
		by = cpu
	}
	return e.ratio(by, c.entry(c.base), c.entry(e.bare))
}

type table struct{ rows [][]string }

func newTable() *table {
	return &table{rows: [][]string{{"work", "by", "CPU µs", "median", "wall µs", "B", "allocations",
		"× floor", "× bare", "× no cache", "target"}}}
}

func (t *table) add(c *contest) {
	for _, e := range c.entries {
		over := func(name string) string {
			if other := c.entry(name); other != nil && other != e {
				return fmt.Sprintf("%.2f", e.ratio(cpu, nil, other))
			}
			return ""
		}
		bare := ""
		if e.bare != "" {
			bare = fmt.Sprintf("%.2f", c.overBare(e))
		}
		var reached []string
		for _, g := range e.targets {
			v := g.value(c, e)
			reached = append(reached, fmt.Sprintf("%s %s ≤ %s %s", mark(v <= g.limit), number(v), number(g.limit), g.text))
		}
		bytes, objects := "", "" // of this process, if it did the work
		if e.n > 0 {
			bytes, objects = fmt.Sprintf("%.0f", e.median(heapBytes)), fmt.Sprintf("%.0f", e.median(allocs))
		}
		t.rows = append(t.rows, []string{c.name, e.name,
			number(e.min(cpu) / 1e3), number(e.median(cpu) / 1e3), number(e.min(wall) / 1e3), bytes, objects,
			over("floor"), bare, over("no cache"), strings.Join(reached, ", ")})
	}
}

// fail stands for work that was not done as it should be.
func (t *table) fail(work string) {
	row := make([]string, len(t.rows[0]))
	row[0], row[len(row)-1] = work, "✗ not done as it should be"
	t.rows = append(t.rows, row)
}

func mark(reached bool) string {
	if reached {
		return "✓"
	}
	return "✗"
}

// number formats v with three digits or all before the point, and none that say nothing.
func number(v float64) string {
	switch {
	case v == float64(int64(v)), v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// sizeText is a number of bytes as people say it.
func sizeText(n int) string {
	if n >= mb {
		return fmt.Sprintf("%d MB", n/mb)
	}
	return fmt.Sprintf("%d KB", n/kb)
}

// String returns t as Markdown with columns that line up.
func (t *table) String() string {
	width := slices.Repeat([]int{3}, len(t.rows[0])) // of a line with a colon
	for _, row := range t.rows {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for n, row := range t.rows {
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if i < 2 || i == len(row)-1 {
				b.WriteString("| " + cell + pad + " ")
			} else {
				b.WriteString("| " + pad + cell + " ")
			}
		}
		b.WriteString("|\n")
		if n == 0 {
			for i := range row {
				line := strings.Repeat("-", width[i]-1)
				if i >= 2 && i < len(row)-1 {
					b.WriteString("| " + line + ": ")
				} else {
					b.WriteString("| " + line + "- ")
				}
			}
			b.WriteString("|\n")
		}
	}
	return b.String()
}
