package main_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestGetWritesWhatTheOriginSends(t *testing.T) {
	t.Parallel()
	u, o := newUser(t, ""), newOrigin(t)
	write(t, u.path("HOME/body"), "from=file")
	seeded := o.plain(t, "/bytes/300000?seed=7")
	for _, test := range []struct {
		name  string
		args  string // URL stands for the origin
		stdin string
		code  int
		want  []string // parts of standard output, in this order
		not   string   // no part of it
	}{
		{name: "a large body", args: "URL/bytes/300000?seed=7", want: []string{seeded}},
		{name: "several bodies, in order", args: "URL/base64/b25l URL/base64/dHdv", want: []string{"onetwo"}},
		{name: "the head, with --include", args: "-i URL/etag/abc", want: []string{"HTTP/1.1 200 OK\n", "\nCache-Status: larder; fwd=uri-miss", "\nEtag: \"abc\"\n", "\n\n{"}},
		{name: "the head alone, with --head", args: "-I URL/base64/b25l", want: []string{"HTTP/1.1 200 OK\n"}, not: "one"},
		{name: "another method", args: "-X PUT URL/put", want: []string{`"method": "PUT"`}},
		{name: "data, by POST", args: "-d a=1 -d b=2 URL/post", want: []string{`"method": "POST"`, `"a=1&b=2"`}},
		{name: "data from a file", args: "-d @HOME/body URL/post", want: []string{`"from=file"`}},
		{name: "data from standard input", args: "-d @- URL/post", stdin: "from=stdin", want: []string{`"from=stdin"`}},
		{name: "data by another method", args: "-X PATCH -d x=y URL/patch", want: []string{`"method": "PATCH"`, `"x=y"`}},
		{name: "header fields", args: "-H X-One:1 -H X-One:2 -H X-Empty; -H User-Agent:me URL/headers",
			want: []string{`"me"`, `"X-Empty": [
      ""
    ]`, `"X-One": [
      "1",
      "2"
    ]`}},
		{name: "no default of a field that is given without a value", args: "-H User-Agent: -H Content-Type: -H X-None: -d a=b URL/post",
			want: []string{`"data:application/octet-stream;`}, not: `"User-Agent"`},
		{name: "a user in the URL", args: "http://me:secret@HOST/basic-auth/me/secret", want: []string{`"authenticated": true`}},
		{name: "a redirect as it is", args: "-i URL/redirect/1", want: []string{"HTTP/1.1 302 Found\n", "\nLocation: "}},
		{name: "a redirect followed, with --location", args: "-L URL/redirect/2", want: []string{`/get"`}},
		{name: "every head on the way, with both", args: "-i -L URL/redirect/2", want: []string{"HTTP/1.1 302 Found\n", "\nLocation: ", "\n\nHTTP/1.1 302 Found\n", "\n\nHTTP/1.1 200 OK\n", "\n\n{", `/get"`}},
		{name: "every head and no body, with --head", args: "-I -L URL/redirect/1", want: []string{"HTTP/1.1 302 Found\n", "\n\nHTTP/1.1 200 OK\n"}, not: "{"},
		{name: "the body of an error", args: "URL/status/418", want: []string{"I'm a teapot!"}},
		{name: "no body of an error, with --fail", args: "--fail URL/status/418", code: 22, not: "teapot"},
		{name: "all bodies, after an error", args: "-f URL/status/404 URL/base64/dHdv", code: 22, want: []string{"two"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := strings.NewReplacer("URL", o.URL, "HOST", o.Listener.Addr().String(), "HOME", u.home).Replace(test.args)
			cmd := u.command(append([]string{"get"}, strings.Fields(args)...)...)
			cmd.Stdin = strings.NewReader(test.stdin)
			r := u.finish(cmd)
			if r.code != test.code {
				t.Fatalf("exit code %d, want %d: %s", r.code, test.code, r.err)
			}
			rest := r.out
			for _, part := range test.want {
				_, after, found := strings.Cut(rest, part)
				if !found {
					t.Fatalf("wrote %q, want %q in it", r.out, part)
				}
				rest = after
			}
			if test.not != "" && strings.Contains(r.out, test.not) {
				t.Fatalf("wrote %q, want no %q in it", r.out, test.not)
			}
		})
	}
}

func TestBlanksInAURL(t *testing.T) {
	t.Parallel()
	u, o := newUser(t, ""), newOrigin(t)
	if out := u.ok("get", "--ttl", "1h", o.URL+"/anything/two words?q=two more"); !strings.Contains(out, "/anything/two%20words?q=two%20more") {
		t.Errorf("%s", out)
	}
	if a := u.answer(0, o.URL+"/anything/two%20words?q=two%20more"); a.Outcome != "hit" {
		t.Errorf("escaped it is another: %+v", a)
	}
}

// TestGetAsks shows what each mode makes of what is stored: of a fresh response and of a stale one, both with an ETag,
// and of none.
func TestGetAsks(t *testing.T) {
	t.Parallel()
	u, o := newUser(t, ""), newOrigin(t)
	for _, test := range []struct {
		stored  string // fresh, stale or nothing
		args    string
		outcome string
		asked   int64 // how often the origin was
		code    int
	}{
		{"fresh", "", "hit", 0, 0},
		{"fresh", "--refresh", "revalidated", 1, 0},
		{"fresh", "--force-refresh", "miss", 1, 0},
		{"fresh", "--offline", "hit", 0, 0},
		{"fresh", "--offline --stale", "hit", 0, 0},
		{"fresh", "--stale", "hit", 0, 0},
		{"fresh", "--bypass", "bypassed", 1, 0},
		{"fresh", "--ttl never", "bypassed", 1, 0},
		{"fresh", "-H Cache-Control:no-cache", "revalidated", 1, 0},
		{"fresh", "-H Cookie:a=b", "miss", 1, 0},
		{"fresh", "-H Authorization:me", "miss", 1, 0},
		{"stale", "", "revalidated", 1, 0},
		{"stale", "--ttl 1h", "revalidated", 1, 0},
		{"stale", "--offline", "refused", 0, 3},
		{"stale", "--offline --stale", "stale", 0, 0},
		{"stale", "--stale", "stale", 0, 0},
		{"nothing", "", "miss", 1, 0},
		{"nothing", "--stale", "miss", 1, 0},
		{"nothing", "--offline", "refused", 0, 3},
		{"nothing", "--offline --stale", "refused", 0, 3},
	} {
		t.Run(test.stored+" "+test.args, func(t *testing.T) {
			url := o.URL + "/etag/" + strings.NewReplacer(" ", "", "=", "", ":", "").Replace(test.stored+test.args)
			switch test.stored {
			case "fresh":
				u.ok("get", "--ttl", "1h", url)
			case "stale":
				u.ok("get", url)
			}
			before := o.requests.Load()
			a := u.answer(test.code, append(strings.Fields(test.args), url)...)
			if asked := o.requests.Load() - before; a.Outcome != test.outcome || asked != test.asked {
				t.Fatalf("outcome %s, %d requests to the origin; want %s, %d", a.Outcome, asked, test.outcome, test.asked)
			}
		})
	}
}

func TestTTLIsWhatTheUserSays(t *testing.T) {
	t.Parallel()
	u, o := newUser(t, ""), newOrigin(t)
	for _, test := range []struct {
		ttl, path string
		want      float64 // seconds; 0: for ever
	}{
		{"90s", "/uuid", 90},
		{"15m", "/cache/60", 900},
		{"1.5d", "/status/404", 1.5 * 86400},
		{"2w", "/response-headers?Cache-Control=no-store", 14 * 86400},
		{"forever", "/get", 0},
	} {
		first := u.answer(0, "--ttl", test.ttl, o.URL+test.path)
		again := u.answer(0, o.URL+test.path)
		if !first.Stored || again.Outcome != "hit" || again.ID != first.ID {
			t.Errorf("%s of --ttl %s: stored %v, then %s; want it stored, and a hit without --ttl", test.path, test.ttl, first.Stored, again.Outcome)
			continue
		}
		if ttl := again.TTL; (ttl == nil) != (test.want == 0) || ttl != nil && (*ttl > test.want || *ttl < test.want-30) {
			t.Errorf("%s of --ttl %s is fresh for %v", test.path, test.ttl, ttl)
		}
	}
}

func TestPostIsStoredByItsBody(t *testing.T) {
	t.Parallel()
	u, o := newUser(t, ""), newOrigin(t)
	url := o.URL + "/post"
	for _, test := range []struct{ args, outcome string }{
		{"-d q=bees", "bypassed"},
		{"-d q=bees --ttl 1h", "miss"},
		{"-d q=bees --ttl 1h", "hit"},
		{"-d q=wasps --ttl 1h", "miss"},
		{"-d q=bees -H Content-Type:text/plain --ttl 1h", "miss"},
		{"-d q=bees --offline --ttl 1h", "hit"},
	} {
		if a := u.answer(0, append(strings.Fields(test.args), url)...); a.Outcome != test.outcome {
			t.Errorf("%s: %s, want %s", test.args, a.Outcome, test.outcome)
		}
	}
}

// TestCredentialsArePartitions shows that what one user got is nobody else's, and that show and rm without -H see all
// of it.
func TestCredentialsArePartitions(t *testing.T) {
	t.Parallel()
	u, o := newUser(t, ""), newOrigin(t)
	url := o.URL + "/bearer"
	body := make(map[string]string)
	for _, token := range []string{"one", "two"} {
		body[token] = u.ok("get", "--ttl", "1h", "-H", "Authorization: Bearer "+token, url)
	}
	for token, want := range body {
		header := "Authorization: Bearer " + token
		if got := u.ok("get", "--offline", "-H", header, url); got != want || !strings.Contains(got, token) {
			t.Errorf("%s gets %s", token, got)
		}
		if got := u.ok("show", "--body", "-H", header, url); got != want {
			t.Errorf("show --body of %s writes %s", token, got)
		}
	}
	if r := u.run("get", "--offline", url); r.code != 3 || r.out != "" {
		t.Errorf("nobody gets %q, exit code %d", r.out, r.code)
	}
	if why := u.ok("why", url); !strings.Contains(why, "0 responses for this request, 2 more of the URL") {
		t.Errorf("why says\n%s", why)
	}
	if shown := u.ok("show", url); strings.Count(shown, "request    GET "+url) != 2 {
		t.Errorf("show tells of\n%s", shown)
	}
	for _, secret := range []string{"one", "two"} {
		if strings.Contains(u.ok("show", url)+u.ok("ls", "--json"), "Bearer "+secret) {
			t.Errorf("the secret %s is shown", secret)
		}
	}
	u.ok("rm", "-H", "Authorization: Bearer one", url)
	if left := u.stored(); len(left) != 1 {
		t.Errorf("%d are left after rm -H, want 1", len(left))
	}
	u.ok("rm", url)
	if left := u.stored(); len(left) != 0 {
		t.Errorf("%d are left after rm, want none", len(left))
	}
}

// TestOutputIsWholeOrUntouched shows that --output replaces a file only by a whole body.
func TestOutputIsWholeOrUntouched(t *testing.T) {
	t.Parallel()
	u := newUser(t, "")
	cut := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Content-Length", "100")
		w.Write([]byte("only half of it"))
		if r.URL.Path == "/slow" {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}
	}))
	defer cut.Close()
	file := u.path("HOME/out")
	write(t, file, "as it was")
	for _, test := range []struct {
		path string
		want string
	}{
		{"/cut", "unexpected EOF"},
		{"/slow", "not answered in full within 200ms"},
	} {
		r := u.run("get", "-o", file, "--timeout", "200ms", cut.URL+test.path)
		if r.code != 1 || !strings.Contains(r.err, test.want) || strings.Count(r.err, "\n") != 1 {
			t.Errorf("%s: exit code %d, %s", test.path, r.code, r.err)
		}
	}
	if got := read(t, file); got != "as it was" {
		t.Errorf("the file holds %q", got)
	}
	if left := u.stored(); len(left) != 0 {
		t.Errorf("stored: %v", left)
	}
	if parts, err := os.ReadDir(u.home); err != nil || len(parts) != 2 { // out, and the cache's folder
		t.Errorf("beside the file there is %v, %v", parts, err)
	}
	u.ok("get", "-o", file, newOrigin(t).URL+"/base64/b25l")
	if got := read(t, file); got != "one" {
		t.Errorf("the file holds %q, want %q", got, "one")
	}
}

// TestTerminalIsNotObeyed shows that nothing an origin or a URL says reaches the terminal as a control character.
func TestTerminalIsNotObeyed(t *testing.T) {
	t.Parallel()
	u := newUser(t, "")
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("X-Evil", "a\u202eb\u009b2J\xff")
		w.Header().Set("Vary", "X-From")
		w.Write([]byte("body"))
	}))
	defer evil.Close()
	url := evil.URL + "/%1b[2J"
	from := "X-From: \u009b31m"
	var all strings.Builder
	for _, args := range []string{"get -v -i", "get --json", "ls", "ls --json", "show", "show --json", "why", "why --json", "purge --dry-run --all", "rm"} {
		line := strings.Fields(args)
		if line[0] != "ls" && line[0] != "purge" {
			line = append(line, url)
		}
		if line[0] == "get" || line[0] == "why" {
			line = append(line, "-H", from)
		}
		r := u.run(line...)
		if r.code != 0 {
			t.Errorf("%s: exit code %d, %s", args, r.code, r.err)
		}
		all.WriteString(r.out + r.err)
	}
	all.WriteString(u.run("get", "http://\x1b[2J/").err)
	all.WriteString(u.run("get", "-H", "\x1b[2J", url).err)
	all.WriteString(u.run("--store", "\x1b[2J:", "ls").err)
	if !utf8.ValidString(all.String()) {
		t.Errorf("bytes that are no characters are written to the terminal in\n%q", all.String())
	}
	for _, r := range all.String() {
		if r != '\n' && (r < ' ' || r == 0x7f || 0x80 <= r && r < 0xa0 || r == '\u202e') {
			t.Fatalf("%q is written to the terminal in\n%q", r, all.String())
		}
	}
	if !strings.Contains(all.String(), `X-Evil: a\u202eb\u009b2J\xff`) {
		t.Errorf("the field is not shown escaped in\n%q", all.String())
	}
}
