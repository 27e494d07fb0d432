package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fault is one thing that is wrong with a file. It holds no password.
type Fault struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`   // from 1; 0: none in particular
	Column  int    `json:"column,omitempty"` // from 1
	Field   string `json:"field,omitempty"`  // such as rules[1].ttl, with the first rule as rules[0]; "": the whole file, or its YAML
	Problem string `json:"problem"`          // what is wrong, and what was expected
}

// Error returns the fault in the form "larder.yaml:12:7: rules[1].ttl: what is wrong".
func (f *Fault) Error() string {
	at := f.File
	if f.Line > 0 {
		at = fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column)
	}
	if f.Field != "" {
		at += ": " + f.Field
	}
	return at + ": " + f.Problem
}

// Faults are all that is wrong with a file, in the order of its lines. They are the error of Load and Parse for a file
// that could be read.
type Faults []*Fault

// Error returns one line for each fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the faults, so that errors.As finds the first as a *Fault.
func (f Faults) Unwrap() []error {
	errs := make([]error, len(f))
	for i, fault := range f {
		errs[i] = fault
	}
	return errs
}

// err returns f in order, or nil if it is empty.
func (f Faults) err() error {
	if len(f) == 0 {
		return nil
	}
	slices.SortStableFunc(f, func(a, b *Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return f
}
