package report

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Number formats v with three digits or all before the point, and none that say nothing.
func Number(v float64) string {
	switch {
	case v == float64(int64(v)), v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// Median returns the middle of v, which has one value at least.
func Median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// Table returns rows, the first of which is the head, as Markdown with columns that line up: text in the first columns
// and the last, numbers between them.
func Table(rows [][]string, text int) string {
	width := slices.Repeat([]int{3}, len(rows[0])) // of a line with a colon
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for n, row := range rows {
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if i < text || i == len(row)-1 {
				b.WriteString("| " + cell + pad + " ")
			} else {
				b.WriteString("| " + pad + cell + " ")
			}
		}
		b.WriteString("|\n")
		if n == 0 {
			for i := range row {
				line := strings.Repeat("-", width[i]-1)
				if i >= text && i < len(row)-1 {
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
