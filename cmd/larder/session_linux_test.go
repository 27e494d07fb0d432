package main_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// session is a shell in which the commands of a document are run, by one user and one after the other. What they are is
// up to commands.
type session struct {
	t      *testing.T
	user   *user
	shell  *interp.Runner
	out    lockedBuffer // pipes have several writers
	strict bool         // each command must succeed

	origin      string            // its address
	real, shown *strings.Replacer // addresses and paths of the documents to those of the test, and back
	pairs       []string          // what they replace
}

// commands are those that a document may name.
var commands = map[string]func(s *session, c interp.HandlerContext, args []string) error{
	"larder": (*session).larder,
	"go":     (*session).goCommand,
	"git":    (*session).git,
	"curl":   (*session).curl,
	"jq":     (*session).jq,
	"make":   (*session).make,
	"docker": (*session).docker,

	"./scripts/test":   (*session).ofRepository,
	"./scripts/bench":  (*session).ofRepository,
	"scripts/services": (*session).ofRepository,

	"cp": nil, "dd": nil, "grep": nil, "head": nil, "ls": nil, "mkdir": nil, // as they are
}

func newSession(t *testing.T) *session {
	s := &session{t: t, user: newUser(t, ""), origin: newOriginAt(t, shortPort(t)).Listener.Addr().String()}
	s.user.env = []string{"XDG_CACHE_HOME=" + s.user.home + "/.cache", "LC_ALL=C.UTF-8"}
	s.maps("127.0.0.1:8080", s.origin)
	write(t, s.user.home+"/compose.env", read(t, top+"/compose.env"))
	env := expand.ListEnviron(s.user.command().Env...)
	shell, err := interp.New(interp.Dir(s.user.home), interp.Env(env), interp.StdIO(nil, &s.out, &s.out),
		interp.CallHandler(func(_ context.Context, args []string) ([]string, error) {
			if args[0] == "complete" { // a builtin that the interpreter has not
				return []string{"true"}, nil
			}
			return args, nil
		}),
		interp.OpenHandler(s.open), interp.ExecHandlers(func(next interp.ExecHandlerFunc) interp.ExecHandlerFunc {
			return func(ctx context.Context, args []string) error { return s.exec(ctx, args, next) }
		}))
	if err != nil {
		t.Fatal(err)
	}
	s.shell = shell
	return s
}

// shortPort listens at a port of four digits, as those in the documents are, so that sizes are the same.
func shortPort(t *testing.T) net.Listener {
	for port := 2000; port < 10000; port++ {
		if l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port)); err == nil {
			return l
		}
	}
	t.Fatal("no port of four digits is free")
	return nil
}

// maps says what stands for an address of the documents from now on.
func (s *session) maps(shown, real string) {
	s.pairs = slices.Insert(s.pairs, 0, shown, real)
	back := []string{s.user.home, "/home/me"}
	for i := 0; i < len(s.pairs); i += 2 {
		back = append(back, s.pairs[i+1], s.pairs[i])
	}
	s.real, s.shown = strings.NewReplacer(append(s.pairs, "/var/cache", s.user.home)...), strings.NewReplacer(back...)
}

// script runs commands that must succeed. What is meant for the background runs there anyway.
func (s *session) script(text string) {
	s.t.Helper()
	s.strict = true
	if code := s.run(text); code != 0 {
		s.t.Errorf("exit code %d of\n%s\n%s", code, text, s.out.String())
	}
}

// answer runs a command, and returns what it writes, and its exit code as the documents have it.
func (s *session) answer(command string) string {
	s.t.Helper()
	s.strict = false
	code := s.run(command)
	out := s.shown.Replace(s.out.String())
	if code != 0 {
		out += fmt.Sprintf("[exit code %d]\n", code)
	}
	return out
}

func (s *session) run(text string) uint8 {
	s.t.Helper()
	s.out.reset()
	parsed, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), "")
	if err != nil {
		s.t.Errorf("%v in\n%s", err, text)
		return 0
	}
	syntax.Walk(parsed, func(n syntax.Node) bool {
		if stmt, ok := n.(*syntax.Stmt); ok {
			stmt.Background = false
		}
		return true
	})
	err = s.shell.Run(s.t.Context(), parsed)
	var code interp.ExitStatus
	if err != nil && !errors.As(err, &code) {
		s.t.Errorf("%v in\n%s", err, text)
	}
	return uint8(code)
}

// open keeps what documents write in the user's home.
func (s *session) open(ctx context.Context, path string, flag int, perm os.FileMode) (io.ReadWriteCloser, error) {
	at := path
	if !filepath.IsAbs(at) {
		at = filepath.Join(interp.HandlerCtx(ctx).Dir, at)
	}
	if flag&(os.O_WRONLY|os.O_RDWR|os.O_CREATE) != 0 && at != os.DevNull && !strings.HasPrefix(at, s.user.home+"/") {
		s.t.Errorf("%s would be written", at)
		return nil, os.ErrPermission
	}
	return interp.DefaultOpenHandler()(ctx, path, flag, perm)
}

func (s *session) exec(ctx context.Context, args []string, next interp.ExecHandlerFunc) error {
	do, ok := commands[args[0]]
	if !ok {
		s.t.Errorf("nothing is known of the command %q", args)
		return nil
	}
	if do == nil {
		return next(ctx, args)
	}
	err := do(s, interp.HandlerCtx(ctx), args)
	if err != nil && !errors.As(err, new(interp.ExitStatus)) {
		s.t.Errorf("%q: %v", args, err)
		return nil
	}
	if err != nil && s.strict {
		s.t.Errorf("%q: %v\n%s", args, err, s.out.String())
	}
	return err
}

var https = regexp.MustCompile(`https://[a-z.]+`)

// larder runs the command. Every host that it is sent to by https is the origin.
func (s *session) larder(c interp.HandlerContext, args []string) error {
	args = slices.Clone(args[1:])
	for i, a := range args {
		args[i] = https.ReplaceAllString(s.real.Replace(a), "http://"+s.origin)
	}
	if args[0] == "serve" || args[0] == "ui" {
		return s.server(c, args)
	}
	cmd := s.user.command(args...)
	c.Env.Each(func(name string, v expand.Variable) bool {
		if v.Exported {
			cmd.Env = append(cmd.Env, name+"="+v.String())
		}
		return true
	})
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, c.Stdout, c.Stderr
	return ended(cmd.Run())
}

// ended is how a program ended, as the shell has it.
func ended(err error) error {
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		return exitStatus(exit.ExitCode())
	}
	return err
}

func exitStatus(code int) error {
	if code == 0 {
		return nil
	}
	return interp.ExitStatus(code)
}

// server runs larder serve at free ports until the test ends, and larder ui until it has said where it is.
func (s *session) server(c interp.HandlerContext, args []string) error {
	for i, a := range args {
		if a == "127.0.0.1:8090" || a == "127.0.0.1:9464" {
			args[i] = "127.0.0.1:0"
		}
	}
	if args[0] == "ui" {
		p := s.user.start(append(args, "--listen", "127.0.0.1:0")...)
		s.maps("127.0.0.1:8090", host(pageAt.FindStringSubmatch(p.line)[1]))
		if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
			return err
		}
		fmt.Fprint(c.Stdout, p.line)
		return exitStatus(p.code())
	}
	p := s.user.serve(args[1:]...)
	s.maps("127.0.0.1:8080", host(p.url))
	if slices.Contains(args, "--metrics") {
		p.says("metrics at ")
		s.maps("127.0.0.1:9464", host(metricsAt.FindStringSubmatch(p.err.String())[1]))
	}
	return nil
}

func host(url string) string { return strings.Split(url, "/")[2] }

// curl fetches the last argument; -i and -I write the head.
func (s *session) curl(c interp.HandlerContext, args []string) error {
	resp, err := http.Get(s.real.Replace(args[len(args)-1]))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if head := args[1]; head == "-i" || head == "-sI" {
		resp.Header.Write(c.Stdout)
	}
	_, err = io.Copy(c.Stdout, resp.Body)
	return err
}

// jq writes a field of each object that it reads, as jq -c .FIELD does.
func (s *session) jq(c interp.HandlerContext, args []string) error {
	if len(args) != 3 || args[1] != "-c" || !strings.HasPrefix(args[2], ".") {
		return errors.New("want jq -c .FIELD")
	}
	for objects := json.NewDecoder(c.Stdin); ; {
		var object map[string]json.RawMessage
		if err := objects.Decode(&object); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		value, ok := object[args[2][1:]]
		if !ok {
			return fmt.Errorf("there is no %s", args[2])
		}
		fmt.Fprintf(c.Stdout, "%s\n", value)
	}
}

// goCommand runs larder for go run, and in the user's module go mod and go build as they are. Of others the packages
// must be there, and the flags, tests and benchmarks in them.
func (s *session) goCommand(c interp.HandlerContext, args []string) error {
	if strings.HasPrefix(strings.Join(args, " "), "go run ./cmd/larder ") {
		return s.larder(c, args[2:])
	}
	if args[1] == "mod" || slices.Equal(args[1:], []string{"build", "."}) {
		caches, err := goTool("env", "GOMODCACHE", "GOCACHE") // not those in the user's home
		if err != nil {
			return err
		}
		modules, builds, _ := strings.Cut(strings.TrimSpace(string(caches)), "\n")
		cmd := s.user.program("go", args[1:]...)
		cmd.Env = append(cmd.Env, "GOMODCACHE="+modules, "GOCACHE="+builds)
		out, err := cmd.CombinedOutput()
		c.Stdout.Write(out)
		return ended(err)
	}
	var faults []error
	for i, a := range args {
		switch {
		case strings.HasPrefix(a, "./") && a != "./...":
			if out, err := goTool("list", a); err != nil {
				faults = append(faults, fmt.Errorf("%w: %s", err, out))
			}
			if args[1] == "run" {
				faults = append(faults, hasFlags(filepath.Join(top, a), args[i+1:]))
			}
		case a == "-run" && args[i+1] != "xxx" && args[i+1] != "^$": // which mean none
			faults = append(faults, declared("Test", args[i+1]))
		case a == "-bench":
			faults = append(faults, declared("Benchmark", args[i+1]))
		}
	}
	return errors.Join(faults...)
}

// goTool runs go at the top of the repository.
func goTool(args ...string) ([]byte, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = top
	return cmd.CombinedOutput()
}

// declared reports whether there is a test or benchmark whose name pattern matches.
func declared(kind, pattern string) error {
	names := regexp.MustCompile(`\nfunc (` + kind + `\w*)\(`)
	want, err := regexp.Compile(strings.Split(pattern, "/")[0])
	if err != nil {
		return err
	}
	return eachFile(top, "_test.go", fmt.Sprintf("no %s is matched by %q", kind, pattern), func(text string) bool {
		return slices.ContainsFunc(names.FindAllStringSubmatch(text, -1), func(m []string) bool { return want.MatchString(m[1]) })
	})
}

// hasFlags reports whether the Go code below dir declares each flag among args.
func hasFlags(dir string, args []string) error {
	for _, a := range args {
		name, ok := strings.CutPrefix(a, "-")
		if !ok {
			continue
		}
		declares := regexp.MustCompile(`\.\w+\((&[\w.]+, )?"` + regexp.QuoteMeta(name) + `"`)
		if err := eachFile(dir, ".go", "it has no flag "+a, declares.MatchString); err != nil {
			return err
		}
	}
	return nil
}

// eachFile looks for a file below dir that is right, and says fault if there is none.
func eachFile(dir, suffix, fault string, right func(text string) bool) error {
	found := false
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, suffix) {
			return err
		}
		text, err := os.ReadFile(path)
		if found = right(string(text)); found {
			return filepath.SkipAll
		}
		return err
	})
	if err == nil && !found {
		err = errors.New(fault)
	}
	return err
}

// ofRepository is a script of the repository: what it is told must be known to it, or be a flag of the program that it
// runs.
func (s *session) ofRepository(_ interp.HandlerContext, args []string) error {
	path := filepath.Join(top, args[0])
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if info, err := os.Stat(path); err != nil || info.Mode()&0o111 == 0 {
		return fmt.Errorf("it cannot be run: %v", err)
	}
	if len(args) > 1 && !strings.HasPrefix(args[1], "-") && !regexp.MustCompile(`\b`+args[1]+`\b`).Match(text) {
		return fmt.Errorf("it knows no %s", args[1])
	}
	return hasFlags(filepath.Join(top, filepath.Base(path)), args[1:])
}

// git clones nothing but the repository, which a link stands for.
func (s *session) git(_ interp.HandlerContext, args []string) error {
	if got, want := strings.Join(args, " "), "git clone https://github.com/larder-go/larder"; got != want {
		return fmt.Errorf("want %s", want)
	}
	here, err := filepath.Abs(top)
	if err != nil {
		return err
	}
	return os.Symlink(here, filepath.Join(s.user.home, "larder"))
}

func (s *session) make(_ interp.HandlerContext, args []string) error {
	if !strings.Contains(read(s.t, top+"/Makefile"), "\n"+args[1]+":") {
		return errors.New("there is no such target")
	}
	return nil
}

func (s *session) docker(_ interp.HandlerContext, args []string) error {
	if !slices.Equal(args[:3], []string{"docker", "compose", "up"}) {
		return errors.New("want docker compose up")
	}
	_, err := os.Stat(top + "/compose.yaml")
	return err
}
