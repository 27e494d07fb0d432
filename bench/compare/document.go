package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// What stands in a document between these lines is put there by -into.
const (
	begin = "<!-- measured: written by ./scripts/bench -into -->\n"
	end   = "<!-- end of what was measured -->\n"
)

// peerModules are those whose versions matter for the numbers.
var peerModules = []string{"github.com/gregjones/httpcache", "github.com/bartventer/httpcache", "modernc.org/sqlite"}

// preface says when, on what and with which versions the table was measured.
func preface(rounds int, turn time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s, %d CPUs, %s/%s, %s; %d rounds, turns of %v.", time.Now().UTC().Format(time.DateOnly),
		processor(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), rounds, turn)
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

// writeInto puts text in the place of what was measured before in the document at path.
func writeInto(path, text string) error {
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
