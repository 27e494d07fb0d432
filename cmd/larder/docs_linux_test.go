package main_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var updateDocs = flag.Bool("update-docs", false, "write what the commands in the documentation answer anew")

const top = "../.." // of the repository

// block is a block of code in a document. What is needed for it and is not to be read is in comments before it:
//
//	<!-- $ larder get -o page http://127.0.0.1:8080/cache/600 -->
var block = regexp.MustCompile("(?m)^((?:<!-- \\$ .* -->\n)*)```([a-z]*)\n((?s:.*?))^```$")

// kinds says how each kind of block is shown to be true. One returns the block as it should be.
var kinds = map[string]func(s *session, text string) string{
	"go":      func(_ *session, text string) string { return text }, // by TestDocumentation of the root module
	"console": (*session).console,
	"sh":      func(s *session, text string) string { s.script(text); return text },
	"yaml":    yamlBlock,
	"json":    jsonBlock,
	"js":      func(s *session, text string) string { s.program("CLIENT_NODE", "mjs", text); return text },
	"python":  func(s *session, text string) string { s.program("CLIENT_PYTHON", "py", text); return text },
	"promql":  promqlBlock,
	"sql":     sqlBlock,
	"text":    textBlock,
}

// inline are commands in the text that name tests and benchmarks.
var inline = regexp.MustCompile("`(go test [^`]+)`")

// TestDocumentation runs what is to be run in the documents, in their order: one user a document, at an origin that is
// httpbin.
func TestDocumentation(t *testing.T) {
	for _, path := range documents(t) {
		name, err := filepath.Rel(top, path)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old := read(t, path)
			s := newSession(t)
			found := 0
			text := block.ReplaceAllStringFunc(old, func(b string) string {
				found++
				m := block.FindStringSubmatch(b)
				kind, ok := kinds[m[2]]
				if !ok {
					t.Errorf("nothing is known of ```%s, so the block is not tested:\n%s", m[2], b)
					return b
				}
				for line := range strings.Lines(m[1]) {
					s.script(strings.TrimSuffix(strings.TrimPrefix(line, "<!-- $ "), " -->\n"))
				}
				return m[1] + "```" + m[2] + "\n" + kind(s, m[3]) + "```"
			})
			if n := strings.Count("\n"+old, "\n```") + strings.Count(old, "\n  ```"); n != 2*found {
				t.Errorf("%d lines begin or end a block, and %d blocks are found", n, found)
			}
			for _, m := range inline.FindAllStringSubmatch(old, -1) {
				s.script(m[1])
			}
			if *updateDocs && text != old {
				write(t, path, text)
			}
		})
	}
}

// documents returns the paths of all documents of the repository.
func documents(t *testing.T) (all []string) {
	t.Helper()
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != top && strings.HasPrefix(d.Name(), ".") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) == ".md" {
			all = append(all, path)
		}
		return err
	})
	if err != nil || len(all) < 20 {
		t.Fatalf("documents: %v, %v", all, err)
	}
	return all
}

// varying is what differs from run to run, and what stands for it.
var varying = []struct {
	what *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`[0-9a-f]{32,}`), "ID"},
	{regexp.MustCompile(`\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT|\d{4}-\d\d-\d\d[T ][\d:.]+`), "DATE"},
	{regexp.MustCompile(`damaged-\d{8}T\d{6}\.\d+`), "damaged-DATE"},
	{regexp.MustCompile(`"(\w*_seconds|age|ttl|seconds|duration)":[\d.]+`), `"$1":N`},
	{regexp.MustCompile(`(ttl=|\bAge: )\d+`), "${1}N"},
	{regexp.MustCompile(`"bytes":\d+,"hosts"`), `"bytes":N,"hosts"`}, // times among them, whose length differs
	{regexp.MustCompile(`\b[\d.]+(µs|ms|s)\b`), "Ns"},                // a minute is long enough to be the same
	{regexp.MustCompile(`[▁-█·│]{3,}`), "LINE"},
	{regexp.MustCompile(` +`), " "},
}

func lasting(output string) string {
	for _, v := range varying {
		output = v.what.ReplaceAllString(output, v.as)
	}
	return strings.TrimSpace(output)
}

// console runs the commands after $, and compares what they answer.
func (s *session) console(text string) string {
	s.t.Helper()
	if !strings.HasPrefix(text, "$ ") {
		s.t.Errorf("want $ and a command first in\n%s", text)
		return text
	}
	var b strings.Builder
	for i, part := range strings.Split("\n"+text, "\n$ ")[1:] {
		command, want, _ := strings.Cut(part, "\n")
		got := s.answer(command)
		if lasting(got) != lasting(want) {
			if !*updateDocs {
				s.t.Errorf("$ %s\nanswers (go test -run TestDocumentation . -update-docs writes it)\n%s\nnot\n%s", command, got, want)
			}
			want = strings.TrimRight(got, "\n") + want[len(strings.TrimRight(want, "\n")):]
		}
		if i > 0 {
			b.WriteString("\n")
		}
		b.WriteString("$ " + command + "\n" + want)
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// yamlBlock is a configuration file.
func yamlBlock(s *session, text string) string {
	write(s.t, s.user.home+"/larder.yaml", text)
	s.script("larder config check larder.yaml")
	return text
}

func jsonBlock(s *session, text string) string {
	if err := json.Unmarshal([]byte(text), new(any)); err != nil {
		s.t.Errorf("%v in\n%s", err, text)
	}
	return text
}

// promqlBlock looks for the metrics among those of the larder serve that runs.
func promqlBlock(s *session, text string) string {
	_, there := fetchURL(s.t, s.real.Replace("http://127.0.0.1:9464/metrics"))
	for _, metric := range regexp.MustCompile(`\blarder_\w+`).FindAllString(text, -1) {
		if !bytes.Contains(there, []byte(metric)) {
			s.t.Errorf("larder serve --metrics has no %s", metric)
		}
	}
	return text
}

// sqlBlock compares it with the table of the example.
func sqlBlock(s *session, text string) string {
	lines := func(text string) string { return strings.Join(strings.Fields(text), " ") }
	code := strings.NewReplacer(" IF NOT EXISTS", "", "%[1]s", "larder").Replace(read(s.t, top+"/examples/postgres/table.go"))
	if !strings.Contains(lines(code), lines(text)) {
		s.t.Errorf("examples/postgres/table.go has no\n%s", text)
	}
	return text
}

var (
	exported = regexp.MustCompile(`\b(larder|cache|disk)\.([A-Z]\w*)`)
	file     = regexp.MustCompile(`(?m)(?:^|  )([a-z][\w/]*(?:\.go|/))`)
)

// textBlock is nothing to be run. What it names of the module must be there.
func textBlock(s *session, text string) string {
	for line := range strings.Lines(text) {
		if word, _, _ := strings.Cut(line, " "); word == "$" || word == "larder" || commands[word] != nil {
			s.t.Errorf("this is a command, for ```console or ```sh:\n%s", line)
		}
	}
	for _, m := range exported.FindAllStringSubmatch(text, -1) {
		of := "."
		if m[1] == "disk" {
			of = "./store/disk"
		}
		if out, err := goTool("doc", "-all", of); err != nil || !regexp.MustCompile(`\b`+m[2]+`\b`).Match(out) {
			s.t.Errorf("go doc knows no %s (%v)", m[0], err)
		}
	}
	for _, m := range file.FindAllStringSubmatch(text, -1) {
		if !anywhere(s.t, m[1]) {
			s.t.Errorf("there is no %s", m[1])
		}
	}
	return text
}

// anywhere reports whether a path ends so in the repository; that of a folder has a slash at its end.
func anywhere(t *testing.T, suffix string) (found bool) {
	t.Helper()
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			path += "/"
		}
		if strings.HasSuffix(path, "/"+suffix) {
			found = true
			return filepath.SkipAll
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// program runs one in another language, if the variable names what runs it; what imports files that are not here is
// only parsed.
func (s *session) program(variable, ext, text string) {
	runs := os.Getenv(variable)
	if runs == "" {
		s.t.Logf("%s names no program, so this is not run:\n%s", variable, text)
		return
	}
	path := filepath.Join(s.user.home, "program."+ext)
	write(s.t, path, s.real.Replace(text))
	args := []string{path}
	if strings.Contains(text, "from './") {
		args = []string{"--check", path}
	}
	if out, err := s.user.program(runs, args...).CombinedOutput(); err != nil {
		s.t.Errorf("%v: %s\nof\n%s", err, out, text)
	}
}
