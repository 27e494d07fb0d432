//go:build unix

package main

import (
	"io"
	"os"
	"testing"
)

// TestWriteFileBehindLinks writes where links lead, and leaves the links.
func TestWriteFileBehindLinks(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, test := range []struct {
		links map[string]string // to which each leads
		path  string
		want  string // where it is written; "": nowhere
	}{
		{map[string]string{"link": "new"}, "link", "new"},
		{map[string]string{"one": "two", "two": "new"}, "one", "new"},
		{map[string]string{"folder": "far/away", "far/away/link": "../new"}, "folder/link", "far/new"},
		{map[string]string{"folder": "far/away"}, "folder/../new", "far/new"},
		{map[string]string{"link": "none/new"}, "link", ""},
		{map[string]string{"one": "two", "two": "one"}, "one", ""},
	} {
		if err := os.MkdirAll("far/away", 0o700); err != nil {
			t.Fatal(err)
		}
		for link, to := range test.links {
			if err := os.Symlink(to, link); err != nil {
				t.Fatal(err)
			}
		}
		err := writeFile(t.Context(), test.path, func(w io.Writer) error { _, err := io.WriteString(w, "whole"); return err })
		if got, _ := os.ReadFile(test.want); (err == nil) != (test.want != "") || test.want != "" && string(got) != "whole" {
			t.Errorf("%s with the links %v: in %s is %q, %v", test.path, test.links, test.want, got, err)
		}
		for link, to := range test.links {
			if got, err := os.Readlink(link); got != to {
				t.Errorf("%s with the links %v: %s leads to %q, %v", test.path, test.links, link, got, err)
			}
			os.Remove(link)
		}
		os.Remove(test.want)
	}
}
