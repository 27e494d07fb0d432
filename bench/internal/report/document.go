// Package report writes what was measured as Markdown, and puts it into documents.
package report

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// peerModules are those whose versions matter for the numbers.
var peerModules = []string{"github.com/gregjones/httpcache", "github.com/bartventer/httpcache", "modernc.org/sqlite"}

// Preface says when, on what and with which versions it was measured, and how.
func Preface(how string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s, %d CPUs, %s/%s, %s; %s.", time.Now().UTC().Format(time.DateOnly),
		processor(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), how)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, name := range peerModules {
			for _, m := range info.Deps {
				if m.Path == name {
					fmt.Fprintf(&b, " %s %s.", strings.TrimPrefix(m.Path, "github.com/"), m.Version)
				}
			}
		}
	}
	return b.String() + "\n"
}

// processor returns the name of the first processor, where the system tells it.
func processor() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.Trim(name, "\t :\n")
		}
	}
	return "unknown processor"
}

// Insert puts text in the place of what the command measured before in the document at path.
func Insert(path, command, text string) error {
	begin, end := "<!-- measured: written by "+command+" -into -->\n", "<!-- end of what was measured -->\n"
	doc, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := bytes.Cut(doc, []byte(begin))
	_, after, ok2 := bytes.Cut(rest, []byte(end))
	if !ok || !ok2 {
		return fmt.Errorf("%s has no lines\n%s%s", path, begin, end)
	}
	return os.WriteFile(path, []byte(string(before)+begin+"\n"+text+"\n"+end+string(after)), 0o644)
}
