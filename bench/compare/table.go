package main

import (
	"fmt"
	"strings"

	"github.com/larder-go/larder/bench/internal/report"
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
			reached = append(reached, fmt.Sprintf("%s %s ≤ %s %s", mark(v <= g.limit), report.Number(v), report.Number(g.limit), g.text))
		}
		bytes, objects := "", "" // of this process, if it did the work
		if e.n > 0 {
			bytes, objects = fmt.Sprintf("%.0f", e.median(heapBytes)), fmt.Sprintf("%.0f", e.median(allocs))
		}
		t.rows = append(t.rows, []string{c.name, e.name,
			report.Number(e.min(cpu) / 1e3), report.Number(e.median(cpu) / 1e3), report.Number(e.min(wall) / 1e3), bytes, objects,
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

// sizeText is a number of bytes as people say it.
func sizeText(n int) string {
	if n >= mb {
		return fmt.Sprintf("%d MB", n/mb)
	}
	return fmt.Sprintf("%d KB", n/kb)
}
