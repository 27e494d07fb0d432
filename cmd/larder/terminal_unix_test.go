//go:build unix

package main_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/creack/pty"
)

// terminal is one on which a command runs.
type terminal struct {
	t       *testing.T
	keys    *os.File
	cmd     *exec.Cmd
	columns int

	mu      sync.Mutex
	written []byte
	more    chan struct{} // there is more of it
	closed  chan struct{}
}

// onTerminal runs a command on a terminal of so many columns, with these variables in its environment.
func (u *user) onTerminal(cmd *exec.Cmd, columns int, env ...string) *terminal {
	u.t.Helper()
	cmd.Env = append(cmd.Env, append([]string{"TERM=xterm-256color", "NO_COLOR="}, env...)...)
	keys, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: uint16(columns)})
	if err != nil {
		u.t.Fatal(err)
	}
	term := &terminal{t: u.t, keys: keys, cmd: cmd, columns: columns, more: make(chan struct{}, 1), closed: make(chan struct{})}
	go func() {
		defer close(term.closed)
		b := make([]byte, 4096)
		for {
			n, err := keys.Read(b)
			term.mu.Lock()
			term.written = append(term.written, b[:n]...)
			term.mu.Unlock()
			select {
			case term.more <- struct{}{}:
			default:
			}
			if err != nil { // EIO when nobody has the terminal any more
				return
			}
		}
	}()
	u.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		keys.Close()
		<-term.closed
	})
	return term
}

// now returns what the terminal shows.
func (term *terminal) now() *screen {
	term.t.Helper()
	term.mu.Lock()
	defer term.mu.Unlock()
	s, err := show(term.written, term.columns)
	if err != nil {
		term.t.Fatalf("%v in %q", err, term.written)
	}
	return s
}

// until waits for something to be shown.
func (term *terminal) until(shown func(s *screen) bool) {
	term.t.Helper()
	for late := time.After(20 * time.Second); !shown(term.now()); {
		select {
		case <-term.more:
		case <-time.After(5 * time.Millisecond):
		case <-late:
			term.t.Fatalf("it is not shown in\n%s", term.now().text())
		}
	}
}

// end waits for the command to end, and returns what the terminal shows then, and the exit code. The terminal must be
// as it was found.
func (term *terminal) end() (*screen, int) {
	term.t.Helper()
	term.cmd.Wait()
	<-term.closed
	s := term.now()
	if s.coloured || s.hidden || s.cuts {
		term.t.Errorf("the terminal is left coloured (%v), without a cursor (%v), cutting lines (%v): %q", s.coloured, s.hidden, s.cuts, term.written)
	}
	return s, term.cmd.ProcessState.ExitCode()
}

// screen is what a terminal shows.
type screen struct {
	rows     []string
	bars     []string // what has stood in a row when the rest of it was erased
	colours  bool     // there have been some
	coloured bool     // what is written now is in colour
	hidden   bool     // there is no cursor
	cuts     bool     // what does not fit into a row is cut off
}

func (s *screen) text() string { return strings.TrimRight(strings.Join(s.rows, "\n"), "\n") }

var control = regexp.MustCompile(`^\x1b\[([?\d;]*)([A-Za-z])`)

// show does what a terminal does with these bytes. It knows no more controls than a progress bar needs; any other is an
// error.
func show(written []byte, columns int) (*screen, error) {
	s := new(screen)
	rows, at := [][]rune{nil}, 0
	for b := written; len(b) > 0; {
		if b[0] == '\x1b' {
			m := control.FindSubmatch(b)
			if m == nil && len(b) < 8 { // the rest is on its way
				break
			}
			if m == nil {
				return nil, fmt.Errorf("a terminal obeys %q", b[:8])
			}
			b = b[len(m[0]):]
			row := &rows[len(rows)-1]
			switch arg := string(m[1]); arg + string(m[2]) {
			case "0K":
				*row = (*row)[:min(at, len(*row))]
				s.bars = append(s.bars, string(*row))
			case "2K":
				*row = nil
			case "?7l", "?7h":
				s.cuts = m[2][0] == 'l'
			case "?25l", "?25h":
				s.hidden = m[2][0] == 'l'
			default:
				if m[2][0] != 'm' {
					return nil, fmt.Errorf("a terminal obeys %q", m[0])
				}
				s.colours, s.coloured = true, arg != "0" && arg != ""
			}
			continue
		}
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && !utf8.FullRune(b) {
			break
		}
		b = b[size:]
		switch {
		case r == '\r':
			at = 0
			continue
		case r == '\n':
			rows = append(rows, nil)
			continue
		case r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError && size == 1:
			return nil, fmt.Errorf("a terminal obeys %q", r)
		}
		if at == columns && s.cuts {
			at--
		} else if at == columns {
			rows, at = append(rows, nil), 0
		}
		row := &rows[len(rows)-1]
		for len(*row) <= at {
			*row = append(*row, ' ')
		}
		(*row)[at] = r
		at++
	}
	for _, row := range rows {
		s.rows = append(s.rows, string(row))
	}
	return s, nil
}

// TestProgress shows what there is of a progress bar on terminals and elsewhere, and that an error amid it leaves both
// whole.
func TestProgress(t *testing.T) {
	const bar = `^warming \d+ B +\d+% ━+[━─]* \(\d+/40, \d+ URLs/(s|min|hr)\) \[\d+s:\d+s\]$`
	for _, test := range []struct {
		name    string
		columns int
		env     string
		flags   string
		to      string // standard error, if not the terminal
		bar     string // what it looks like; "": there is none
		colours bool
	}{
		{name: "wide", columns: 120, bar: bar, colours: true},
		{name: "of the usual width", columns: 80, bar: bar, colours: true},
		{name: "without colours", columns: 80, env: "NO_COLOR=1", bar: bar},
		{name: "narrow", columns: 40, bar: `^ +\d+%  \(\d+/40, \d+ /(s|min|hr)\) \[\d+s:\d+s\]$`},
		{name: "too narrow", columns: 15, bar: `^ +\d+%  \(\d+/.*$`},
		{name: "dumb", columns: 80, env: "TERM=dumb"},
		{name: "quiet", columns: 80, flags: "--quiet"},
		{name: "into a file", columns: 80, to: "errors"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			u := newUser(t, "disk:HOME/files")
			o := newCounter(t, 0, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=600")
				if r.URL.Path == "/13" {
					w.WriteHeader(http.StatusNotFound)
				}
				fmt.Fprint(w, "hello")
			})
			args := append([]string{"warm", "--delay", "20ms"}, strings.Fields(test.flags)...) // so that there is something to be seen
			for i := range 40 {
				args = append(args, fmt.Sprintf("%s/%d", o.URL, i))
			}
			cmd := u.command(args...)
			if test.to != "" {
				file, err := os.Create(u.home + "/" + test.to)
				if err != nil {
					t.Fatal(err)
				}
				defer file.Close()
				cmd.Stderr = file
			}
			s, code := u.onTerminal(cmd, test.columns, test.env).end()
			if code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			if seen := slices.ContainsFunc(s.bars, regexp.MustCompile(test.bar).MatchString); seen != (test.bar != "") {
				t.Errorf("the bars %q are seen, want %q", s.bars, test.bar)
			}
			if s.colours != test.colours {
				t.Errorf("coloured: %v, want %v", s.colours, test.colours)
			}
			said := "larder: " + o.URL + "/13: the answer is 404 Not Found"
			if test.to != "" {
				if got := read(t, u.home+"/"+test.to); got != said+"\n" {
					t.Errorf("in the file is %q", got)
				}
			}
			if test.to != "" || test.flags != "" {
				said = ""
			}
			summary := regexp.MustCompile(`^` + regexp.QuoteMeta(said) + `fetched +39 +195 B *failed +1 +1 +127.0.0.1:\d+ *time +[\d.]+m?s$`)
			if got := strings.Join(s.rows, ""); !summary.MatchString(got) {
				t.Errorf("in the end it shows\n%s", s.text())
			}
		})
	}
}

// TestInterruptOnTerminal presses Ctrl-C amid a progress bar: once, and what is under way ends; twice, and the program
// does.
func TestInterruptOnTerminal(t *testing.T) {
	for _, test := range []struct{ presses, code int }{{1, 130}, {2, -1}} {
		t.Run(fmt.Sprint(test.presses), func(t *testing.T) {
			t.Parallel()
			u := newUser(t, "disk:HOME/files")
			release := make(chan struct{})
			var asked atomic.Int64
			o := newCounter(t, 0, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=600")
				if asked.Add(1) > 40 { // from here on all are under way until the test says so
					select {
					case <-release:
					case <-r.Context().Done():
					}
				}
				fmt.Fprint(w, "hello")
			})
			args := []string{"warm", "--delay", "20ms"}
			for i := range 1000 {
				args = append(args, fmt.Sprintf("%s/%d", o.URL, i))
			}
			term := u.onTerminal(u.command(args...), 80)
			begun := regexp.MustCompile(`\([1-9]\d?/1000, `)
			term.until(func(s *screen) bool { return asked.Load() > 40 && slices.ContainsFunc(s.bars, begun.MatchString) })
			for i := range test.presses {
				if _, err := term.keys.Write([]byte{'C' & 0x1f}); err != nil {
					t.Fatal(err)
				}
				if i == 0 {
					term.until(func(s *screen) bool { return strings.Contains(s.text(), "larder: finishing what is under way") })
				}
			}
			if test.presses == 1 {
				close(release)
			}
			s, code := term.end()
			if code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			whole := strings.HasSuffix(s.text(), "\nlarder: interrupted") && s.rows[len(s.rows)-1] == "" && !strings.ContainsAny(s.text(), "━─")
			if test.presses == 1 && !whole {
				t.Errorf("in the end it shows\n%s", s.text())
			}
		})
	}
}

// TestListOnTerminal shows that nothing that is stored is obeyed by the terminal on which it is looked at.
func TestListOnTerminal(t *testing.T) {
	t.Parallel()
	u := newUser(t, "disk:HOME/files")
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=600")
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("X-Evil", "\u009b2J\u202e\xff")
		fmt.Fprint(w, "\x1b]0;owned\a \x1b[2J\u009b2J\x9b2J \x0e\b\b\x7f\n")
	}))
	defer evil.Close()
	url := evil.URL + "/%1b[2J%07?\u009b2J"
	u.ok("get", "-o", "body", url)
	for _, args := range [][]string{{"ls"}, {"ls", "--json"}, {"ls", "--format", "{{.URL}} {{.Header}}"}, {"show", url}, {"show", "--json", url},
		{"why", url}, {"stats"}, {"purge", "--all", "--dry-run"}, {"verify"}, {"warm", url, evil.URL + "/\u009b2J"}} {
		t.Run(strings.Join(args[:min(2, len(args))], " "), func(t *testing.T) {
			term := (&user{t: t, home: u.home, store: u.store}).onTerminal(u.command(args...), 80)
			s, code := term.end() // which knows what a terminal obeys
			if code != 0 || s.text() == "" {
				t.Errorf("exit code %d, and it shows\n%s", code, s.text())
			}
			if strings.Contains(s.text(), "\u202e") {
				t.Errorf("it shows %q", s.text())
			}
		})
	}
}
