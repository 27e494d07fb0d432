package main_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestCompletion asks what the shells' scripts ask.
func TestCompletion(t *testing.T) {
	t.Parallel()
	u, first, second := filled(t)
	if err := os.MkdirAll(u.path("HOME/folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args string // the last word is being completed; _ is an empty one
		want string // "" for none; with ... at the end there may be more
	}{
		{"_", "completion config cp export get help import ls purge rm serve show stats sweep ui verify warm why"},
		{"s", "serve show stats sweep"},
		{"--store _", "sqlite: disk: memory: redis:// rediss:// redis+cluster:// redis+sentinel:// mongodb:// mongodb+srv:// dynamodb://"},
		{"ls --store s", "sqlite:"},
		{"ls --store m", "memory: mongodb:// mongodb+srv://"},
		{"ls --store redis", "redis:// redis+cluster:// redis+sentinel:// rediss://"},
		{"ls --store sqlite:HOME/c", "sqlite:HOME/cache.sqlite ..."},
		{"ls --store sqlite:HOME/fo", "sqlite:HOME/folder/"},
		{"ls --store sqlite:~/fo", "sqlite:~/folder/"},
		{"ls --store disk:HOME/", "disk:HOME/folder/ disk:HOME/larder/"}, // where the history is
		{"ls --store sqlite:x?d", "sqlite:x?damaged=fail sqlite:x?damaged=rebuild"},
		{"ls --store disk:x?d", ""},
		{"ls --store sqlite:x?damaged=fail&max-bytes=2", "sqlite:x?damaged=fail&max-bytes=2GiB"},
		{"get --ttl _", "5m 1h 1d 7d forever never"},
		{"get -X _", "GET HEAD POST PUT PATCH DELETE OPTIONS QUERY"},
		{"get --timeout _", "10s 1m 10m"},
		{"get ONE/base64/", "ONE/base64/b25l ONE/base64/dHdv"},
		{"why TWO/", "TWO/base64/b25l"},
		{"purge --host 127.", "HOST-ONE HOST-TWO"},
		{"ls --prefix TWO", "TWO/base64/b25l"},
		{"ls --tag _", "colours"},
		{"ls --older-than _", "1h 1d 7d 30d"},
		{"completion _", "bash zsh fish powershell"},
	} {
		fill := strings.NewReplacer("HOST-ONE", first.Listener.Addr().String(), "HOST-TWO", second.Listener.Addr().String(),
			"ONE", first.URL, "TWO", second.URL, "HOME", u.home)
		args := strings.Fields(fill.Replace(test.args))
		if test.args[len(test.args)-1] == '_' {
			args[len(args)-1] = ""
		}
		lines := strings.Split(u.ok(append([]string{"__completeNoDesc"}, args...)...), "\n")
		got := lines[:slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, ":") })]
		want := strings.Fields(fill.Replace(test.want))
		if n := len(want); n > 0 && want[n-1] == "..." {
			want = want[:n-1]
			got = got[:min(len(got), n-1)]
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("larder %s: offered are %q, want %q", test.args, got, want)
		}
	}
}

// TestCompletionLeavesDamage shows that a key which is pressed in a shell removes nothing, for it would not be told.
func TestCompletionLeavesDamage(t *testing.T) {
	t.Parallel()
	u, o := newUser(t, "disk:HOME/files"), newOrigin(t)
	u.ok("warm", o.URL+"/cache/600", o.URL+"/etag/abc")
	err := filepath.WalkDir(u.path("HOME/files"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			write(t, path, strings.ReplaceAll(read(t, path), "max-age=600", "max-age=900"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if r := u.run("__complete", "show", "http"); !strings.HasPrefix(r.out, o.URL+"/etag/abc\n") {
		t.Errorf("it offers %q", r.out)
	}
	if r := u.run("verify"); r.code != 1 || !strings.Contains(r.out, "damaged    1, left") {
		t.Errorf("then verify ends with %d and says %s%s", r.code, r.out, r.err)
	}
}

// TestCompletionScripts lets each shell that is here read its script, and bash complete by it.
func TestCompletionScripts(t *testing.T) {
	t.Parallel()
	u, o := newUser(t, ""), newOrigin(t)
	u.ok("get", "--ttl", "1h", o.URL+"/base64/b25l?$(touch+HOME;`touch+HOME`)'&")
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		script := u.ok("completion", shell)
		if len(script) < 1000 || !strings.Contains(script, "__complete") {
			t.Errorf("completion %s writes %q", shell, script)
		}
		write(t, u.path("HOME/script."+shell), script)
		if path, err := exec.LookPath(shell); err == nil && shell != "powershell" {
			if out, err := exec.Command(path, "-n", u.path("HOME/script."+shell)).CombinedOutput(); err != nil {
				t.Errorf("%s can't read its script: %v, %s", shell, err, out)
			}
		}
	}
	bash, err := exec.LookPath("bash")
	if err != nil {
		return // the scripts were checked as far as they can be
	}
	if err := errors.Join(os.Mkdir(u.path("HOME/bin"), 0o700), os.Symlink(binary, u.path("HOME/bin/larder"))); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ line, want string }{
		{"larder get --store sq", "sqlite:"},
		{"larder get --ttl fore", "forever"},
		{"larder pu", "purge"},
		{"larder completion z", "zsh"},
		{"larder show " + o.URL[:12], `/base64/b25l\?\$\(touch`},
	} {
		if r := u.finish(u.completing(bash, test.line, "")); !strings.Contains(r.out, test.want) || strings.Count(r.out, "\n") != 1 {
			t.Errorf("%s<TAB> offers %q (%s), want %q", test.line, r.out, r.err, test.want)
		}
	}
	if _, err := os.Stat(u.path("HOME/HOME")); err == nil {
		t.Error("what a URL says was run")
	}
}

// completing is bash after it has completed the line by u's script.
func (u *user) completing(bash, line, then string) *exec.Cmd {
	words := strings.Fields(line)
	// What the package bash-completion gives the script, in the little that it needs.
	stub := fmt.Sprintf(`PATH=%q:$PATH; cd %q
_get_comp_words_by_ref() { words=(%s); cword=%d; cur=%q; prev=%q; }
__ltrim_colon_completions() { :; }
compopt() { :; }
source script.bash
COMP_LINE=%q COMP_TYPE=9
__start_larder
printf '%%s\n' "${COMPREPLY[@]}"
%s`, u.path("HOME/bin"), u.home, line, len(words)-1, words[len(words)-1], words[len(words)-2], line, then)
	cmd := u.command()
	cmd.Path, cmd.Args = bash, []string{"bash", "-c", stub}
	return cmd
}

// TestCompletionOfShellCode shows that what several stored URLs begin with, which bash inserts, is no code to it.
func TestCompletionOfShellCode(t *testing.T) {
	t.Parallel()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip(err)
	}
	u, o := newUser(t, ""), newOrigin(t)
	if err := errors.Join(os.Mkdir(u.path("HOME/bin"), 0o700), os.Symlink(binary, u.path("HOME/bin/larder"))); err != nil {
		t.Fatal(err)
	}
	write(t, u.path("HOME/script.bash"), u.ok("completion", "bash"))
	const code = "/base64/b25l?$(run);run&'" // with what each URL has of its own behind it
	u.ok("get", "--ttl", "1h", o.URL+code+"1", o.URL+code+"2")
	r := u.finish(u.completing(bash, "larder show "+o.URL[:12], `run() { echo was run; }
for word in "${COMPREPLY[@]}"; do eval "printf '%s\n' $word"; done`))
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	if len(lines) != 4 {
		t.Fatalf("bash says %q (%s), want two words, and what they mean", r.out, r.err)
	}
	slices.Sort(lines[2:])
	for i, line := range lines[2:] {
		if want := fmt.Sprint(code, i+1); !strings.HasSuffix(line, want) {
			t.Errorf("%s means %q to bash, want %q", lines[:2], line, want)
		}
	}
}
