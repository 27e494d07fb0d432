package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// TestWriteFileBesideRests writes a file beside what a killed process has left, whose number this one has, as in
// containers.
func TestWriteFileBesideRests(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page")
	if err := os.WriteFile(fmt.Sprintf("%s.part-%d", path, os.Getpid()), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := writeFile(t.Context(), path, func(w io.Writer) error { _, err := io.WriteString(w, "whole"); return err })
	if got, _ := os.ReadFile(path); err != nil || string(got) != "whole" {
		t.Errorf("%q, %v", got, err)
	}
}
