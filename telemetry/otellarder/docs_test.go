package otellarder_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestNamesAreDocumented shows that docs/telemetry.md lists the names that the code uses, and no others.
func TestNamesAreDocumented(t *testing.T) {
	name := regexp.MustCompile(`^(larder\.[a-z_.]+|error\.type)$`)
	used := make(map[string]bool)
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				if s, err := strconv.Unquote(l.Value); err == nil && name.MatchString(s) {
					used[s] = true
				}
			}
			return true
		})
	}
	text, err := os.ReadFile("../../docs/telemetry.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]bool)
	for _, m := range regexp.MustCompile("`([a-z_.]+)`").FindAllStringSubmatch(string(text), -1) {
		if name.MatchString(m[1]) {
			documented[m[1]] = true
		}
	}
	for s := range used {
		if !documented[s] {
			t.Errorf("%s is not documented", s)
		}
	}
	for s := range documented {
		if !used[s] {
			t.Errorf("%s is documented, and not used", s)
		}
	}
	if len(used) < 15 {
		t.Errorf("only %d names are found", len(used))
	}
}
