package larder_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var updateDocs = flag.Bool("update-docs", false, "write the snippets of the documentation anew, from the code that they name")

// snippet is a block of Go in a document. The comment before it names the declaration in this repository that it is:
//
//	<!-- examples/recipes/github_test.go: ExampleGitHub -->
//
// of a test or an example its body, of everything else the whole.
var snippet = regexp.MustCompile("(?m)^(?:<!-- ([^ ]+): ([^ ]+) -->\n)?```go\n((?s:.*?))^```$")

// TestDocumentation shows that each snippet of Go in the documentation is code that is compiled, and mostly run, by the
// tests.
func TestDocumentation(t *testing.T) {
	for _, doc := range documents(t) {
		old, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		text := snippet.ReplaceAllStringFunc(string(old), func(block string) string {
			m := snippet.FindStringSubmatch(block)
			path, name, got := m[1], m[2], m[3]
			if path == "" {
				t.Errorf("%s: no comment names the source of\n%s", doc, got)
				return block
			}
			want, err := declaration(path, name)
			if err != nil {
				t.Errorf("%s: %v", doc, err)
				return block
			}
			if got != want && !*updateDocs {
				t.Errorf("%s: %s in %s is (go test -run TestDocumentation . -update-docs writes it)\n%s\nnot\n%s", doc, name, path, want, got)
			}
			return fmt.Sprintf("<!-- %s: %s -->\n```go\n%s```", path, name, want)
		})
		if *updateDocs && text != string(old) {
			if err := os.WriteFile(doc, []byte(text), 0o644); err != nil {
				t.Error(err)
			}
		}
	}
}

// documents returns the documentation's files.
func documents(t *testing.T) []string {
	t.Helper()
	var docs []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != "." && strings.HasPrefix(d.Name(), ".") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) == ".md" {
			docs = append(docs, path)
		}
		return err
	})
	if err != nil || len(docs) < 20 {
		t.Fatalf("documents: %v, %v", docs, err)
	}
	return docs
}

// declaration returns what name declares in a file: of a test or an example the body, without what it is expected to
// write.
func declaration(path, name string) (string, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return "", err
	}
	text := func(from, to token.Pos) string {
		return string(source[set.Position(from).Offset:set.Position(to).Offset])
	}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.Name != name {
				continue
			}
			if !strings.HasPrefix(name, "Example") && !strings.HasPrefix(name, "Test") {
				return text(d.Pos(), d.End()) + "\n", nil
			}
			body, _, _ := strings.Cut(text(d.Body.Lbrace+1, d.Body.Rbrace), "\n\t// Output:")
			var lines []string
			for line := range strings.SplitSeq(strings.Trim(body, "\n"), "\n") {
				lines = append(lines, strings.TrimPrefix(line, "\t"))
			}
			return strings.TrimRight(strings.Join(lines, "\n"), "\n") + "\n", nil
		case *ast.GenDecl:
			for _, s := range d.Specs {
				spec, _ := s.(*ast.TypeSpec)
				value, _ := s.(*ast.ValueSpec)
				if spec != nil && spec.Name.Name == name || value != nil && value.Names[0].Name == name {
					return text(d.Pos(), d.End()) + "\n", nil
				}
			}
		}
	}
	return "", fmt.Errorf("%s declares no %s", path, name)
}

// link is a link to a file of this repository.
var link = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)

// TestLinks shows that the files are there to which the documentation leads.
func TestLinks(t *testing.T) {
	for _, doc := range documents(t) {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(doc), m[1])); err != nil {
				t.Errorf("%s: %v", doc, err)
			}
		}
	}
}

// TestCodeThatIsNamed shows that docs/conformance-rfc9111.md names what is in the file that it says, of the root or of
// rfc9111.
func TestCodeThatIsNamed(t *testing.T) {
	doc, err := os.ReadFile("docs/conformance-rfc9111.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, m := range regexp.MustCompile("`(?:rfc9111/)?(\\w+\\.go)`((?:,? \\w+)*)").FindAllStringSubmatch(string(doc), -1) {
		for name := range strings.FieldsFuncSeq(m[2], func(r rune) bool { return r == ',' || r == ' ' }) {
			_, here := declaration(m[1], name)
			_, there := declaration(filepath.Join("rfc9111", m[1]), name)
			if here != nil && there != nil {
				t.Errorf("%v; %v", here, there)
			}
			found++
		}
	}
	if found < 100 {
		t.Errorf("only %d names are there", found)
	}
}

// TestTestsThatAreNamed shows that the tests which a document names are there.
func TestTestsThatAreNamed(t *testing.T) {
	there := make(map[string]bool)
	declared, named := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Z]\w*)\(`), regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w+`)
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range declared.FindAllSubmatch(source, -1) {
			there[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range documents(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range named.FindAllString(string(text), -1) {
			if !there[name] {
				t.Errorf("%s names %s, which is no test", path, name)
			}
		}
	}
}
