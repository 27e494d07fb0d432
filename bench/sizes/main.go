// Command sizes builds a program of a few lines for each store and prints how large it gets, and how many modules are
// in it:
//
//	./scripts/bench sizes
//
// It is run in the folder of go.work, which has all modules.
package main

import (
	"debug/buildinfo"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/larder-go/larder/bench/internal/report"
)

// program is what is built: that asks for a URL through transport, or, without one, a command of the module.
type program struct {
	name      string
	imports   []string
	transport string
	command   string
}

const module = "github.com/larder-go/larder"

var programs = []program{
	{name: "no cache: net/http", transport: `http.DefaultTransport`},
	{name: "memory", transport: `&larder.Cache{}`},
	{name: "disk", imports: []string{"store/disk"}, transport: `&larder.Cache{Store: must(disk.Open("cache", nil))}`},
	{name: "tiered, memory before disk", imports: []string{"store/disk", "store/memory", "store/tiered"},
		transport: `&larder.Cache{Store: must(tiered.New(new(memory.Store), must(disk.Open("cache", nil)), nil))}`},
	{name: "sealed, on disk", imports: []string{"store/disk", "store/sealed"},
		transport: `&larder.Cache{Store: must(sealed.New(must(disk.Open("cache", nil)), must(sealed.KeyFromBytes(make([]byte, 32)))))}`},
	{name: "compressed, on disk", imports: []string{"store/compressed", "store/disk"}, transport: `&larder.Cache{Store: compressed.New(must(disk.Open("cache", nil)))}`},
	{name: "SQLite", imports: []string{"store/sqlite"}, transport: `&larder.Cache{Store: must(sqlite.Open("cache.db", nil))}`},
	{name: "Redis", imports: []string{"store/redis"}, transport: `&larder.Cache{Store: must(redis.Open(context.Background(), "redis://localhost", nil))}`},
	{name: "MongoDB", imports: []string{"store/mongodb"}, transport: `&larder.Cache{Store: must(mongodb.Open(context.Background(), "mongodb://localhost", nil))}`},
	{name: "DynamoDB", imports: []string{"store/dynamodb"}, transport: `&larder.Cache{Store: must(dynamodb.Open(context.Background(), "dynamodb://cache", nil))}`},
	{name: "all of them: the command", command: "./cmd/larder"},
}

// source returns a main package.
func (p program) source() string {
	imports := []string{`"io"`, `"net/http"`, `"os"`}
	if strings.Contains(p.transport, "context.") {
		imports = append(imports, `"context"`)
	}
	if strings.Contains(p.transport, "larder.") {
		imports = append(imports, fmt.Sprintf("%q", module))
	}
	for _, path := range p.imports {
		imports = append(imports, fmt.Sprintf("%q", module+"/"+path))
	}
	return fmt.Sprintf(`package main

import (
	%s
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func main() {
	client := &http.Client{Transport: %s}
	resp := must(client.Get(os.Args[1]))
	defer resp.Body.Close()
	must(io.Copy(os.Stdout, resp.Body))
}
`, strings.Join(imports, "\n\t"), p.transport)
}

func main() {
	into := flag.String("into", "", "put the table into this document, in the place of the one before")
	flag.Parse()
	if err := run(*into); err != nil {
		fmt.Fprintln(os.Stderr, "sizes:", err)
		os.Exit(1)
	}
}

func run(into string) error {
	scratch, err := os.MkdirTemp("", "sizes")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	rows := [][]string{{"program with the store", "MB", "beyond net/http", "modules in it", "of others"}}
	var least float64
	for i, p := range programs {
		size, modules, foreign, err := p.build(filepath.Join(scratch, fmt.Sprint(i)))
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if i == 0 {
			least = size
		}
		rows = append(rows, []string{p.name, report.Number(size), report.Number(size - least), fmt.Sprint(modules), fmt.Sprint(foreign)})
	}
	text := report.Preface("go build -trimpath -ldflags='-s -w'") + "\n" + report.Table(rows, 1)
	fmt.Print(text)
	if into != "" {
		return report.Insert(into, "./scripts/bench sizes", text)
	}
	return nil
}

// build builds p in dir and returns what came of it in MB, and of how many modules beside the program's own, and of
// those how many are not larder's.
func (p program) build(dir string) (mb float64, modules, foreign int, err error) {
	what := p.command
	if what == "" {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return 0, 0, 0, err
		}
		what = filepath.Join(dir, "main.go")
		if err := os.WriteFile(what, []byte(p.source()), 0o600); err != nil {
			return 0, 0, 0, err
		}
	}
	bin := dir + ".bin"
	if out, err := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", bin, what).CombinedOutput(); err != nil {
		return 0, 0, 0, fmt.Errorf("%w\n%s", err, out)
	}
	info, err := os.Stat(bin)
	if err != nil {
		return 0, 0, 0, err
	}
	built, err := buildinfo.ReadFile(bin)
	if err != nil {
		return 0, 0, 0, err
	}
	for _, m := range built.Deps {
		if modules++; !strings.HasPrefix(m.Path, module) {
			foreign++
		}
	}
	return float64(info.Size()) / 1e6, modules, foreign, nil
}
