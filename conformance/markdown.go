package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/larder-go/larder/conformance/suite"
)

// The marks between which writeInto puts the table.
const (
	opening = "<!-- measured: written by go run ./conformance -into -->\n"
	closing = "<!-- measured: end -->\n"
)

// writeInto puts the table of all reports into a Markdown file.
func writeInto(path string, file *suite.File, reports map[string]*report) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := bytes.Cut(data, []byte(opening))
	_, after, closed := bytes.Cut(rest, []byte(closing))
	if !ok || !closed {
		return fmt.Errorf("%s: a line %q and a line %q have to say where the table goes", path, strings.TrimSpace(opening), strings.TrimSpace(closing))
	}
	var b bytes.Buffer
	b.Write(before)
	b.WriteString(opening)
	markdown(&b, file, reports)
	b.WriteString(closing)
	b.Write(after)
	return os.WriteFile(path, b.Bytes(), 0o666)
}

// markdown writes a row for each suite, with a column for the required and one for the optional tests of each report.
func markdown(b *bytes.Buffer, file *suite.File, reports map[string]*report) {
	var names []string
	for _, name := range targets {
		if reports[name] != nil {
			names = append(names, name)
		}
	}
	for name := range reports {
		if !slices.Contains(targets, name) {
			names = append(names, name)
		}
	}
	b.WriteString("| suite |")
	for _, name := range names {
		fmt.Fprintf(b, " %s, required | optional |", name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|---|", len(names)) + "\n")
	for _, s := range file.Suites {
		var row strings.Builder
		some := false
		for _, name := range names {
			scores := reports[name].scores(s)
			some = some || scores[0].of+scores[1].of > 0
			fmt.Fprintf(&row, " %v | %v |", scores[0], scores[1])
		}
		if some {
			fmt.Fprintf(b, "| %s |%s\n", s.ID, &row)
		}
	}
	b.WriteString("| **all** |")
	for _, name := range names {
		totals := reports[name].totals()
		fmt.Fprintf(b, " **%v** | **%v** |", totals[0], totals[1])
	}
	b.WriteString("\n")
}
