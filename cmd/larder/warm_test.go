package main_test

import (
	"bytes"
	"compress/gzip"
	"database/sql"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "modernc.org/sqlite"
)

// counter is an origin that counts the requests for each path, and lets the test know when there have been so many.
type counter struct {
	*httptest.Server
	mu      sync.Mutex
	asked   map[string]int
	total   int
	at      int           // when total is that,
	reached chan struct{} // it is closed
}

func newCounter(t *testing.T, at int, answer http.HandlerFunc) *counter {
	c := &counter{asked: make(map[string]int), at: at, reached: make(chan struct{})}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.asked[r.URL.RequestURI()]++
		if c.total++; c.total == c.at {
			close(c.reached)
		}
		c.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(c.Close)
	return c
}

// once fails the test unless every one of the paths was asked for once.
func (c *counter) once(t *testing.T, paths []string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	wrong := 0
	for _, p := range paths {
		if n := c.asked[p]; n != 1 {
			if wrong++; wrong <= 5 {
				t.Errorf("%s was asked for %d times, want once", p, n)
			}
		}
	}
	if wrong > 5 {
		t.Errorf("%d of %d were not asked for once", wrong, len(paths))
	}
}

// times returns how often a path was asked for.
func (c *counter) times(path string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked[path]
}

type tally struct {
	Fetched, Hits, Stale, Revalidated, Failed, Unfinished int
	DoneBefore                                            int            `json:"done_before"`
	NotStored                                             map[string]int `json:"not_stored"`
	FailedHosts                                           map[string]int `json:"failed_hosts"`
	Bytes                                                 int64
}

// warmed runs larder warm and returns what it tells.
func (u *user) warmed(code int, args ...string) (tally, result) {
	u.t.Helper()
	r := u.run(append([]string{"warm", "--json"}, args...)...)
	if r.code != code {
		u.t.Fatalf("larder warm %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), r.code, code, r.out, r.err)
	}
	var got tally
	decode(u.t, r.out, &got)
	return got, r
}

// TestWarm follows each outcome into the summary.
func TestWarm(t *testing.T) {
	t.Parallel()
	u, o := newUser(t, "sqlite:HOME/cache.sqlite"), newOrigin(t)
	fresh, validated, unstored := o.URL+"/cache/600", o.URL+"/etag/abc", o.URL+"/uuid"
	write(t, u.path("HOME/urls"), "# a list\n\n"+fresh+"\n  "+validated+"  \n")

	got, _ := u.warmed(0, "--from", u.path("HOME/urls"), unstored)
	if got.Fetched != 3 || got.Hits != 0 || len(got.NotStored) != 1 || got.NotStored["neither fresh nor with a validator or a stale window"] != 1 || got.Bytes == 0 {
		t.Errorf("first: %+v", got)
	}
	got, _ = u.warmed(0, fresh, validated)
	if got.Hits != 1 || got.Revalidated != 1 || got.Fetched != 0 {
		t.Errorf("again: %+v", got)
	}
	got, _ = u.warmed(0, "--stale", fresh, validated)
	if got.Hits != 1 || got.Stale != 1 {
		t.Errorf("--stale: %+v", got)
	}
	asked := o.requests.Load()
	got, _ = u.warmed(0, "--force-refresh", fresh, validated)
	if got.Fetched != 2 || o.requests.Load() != asked+2 {
		t.Errorf("--force-refresh: %+v", got)
	}
	got, r := u.warmed(1, fresh, o.URL+"/status/404", o.URL+"/status/500", "http://127.0.0.1:1/")
	host := strings.TrimPrefix(o.URL, "http://")
	if got.Hits != 1 || got.Failed != 3 || got.FailedHosts[host] != 2 || got.FailedHosts["127.0.0.1:1"] != 1 || strings.Count(r.err, "\n") != 3 ||
		!strings.Contains(r.err, "larder: "+o.URL+"/status/404: the answer is 404 Not Found\n") {
		t.Errorf("failures: %+v, %s", got, r.err)
	}
	text := u.run("warm", fresh, o.URL+"/status/404")
	if want := "fetched            0  0 B\nhits               1\nfailed             1\n                   1  " + host + "\ntime "; !strings.HasPrefix(text.out, want) {
		t.Errorf("says %q, want %q", text.out, want)
	}
	got, _ = u.warmed(0, "-L", o.URL+"/redirect/2", "--ttl", "1h")
	if got.Fetched != 1 || !strings.Contains(u.ok("ls"), o.URL+"/get\n") {
		t.Errorf("-L: %+v", got)
	}
	private := strings.Replace(o.URL, "//", "//u:p@", 1) + "/redirect-to?url=" + o.URL + "/basic-auth/u/p"
	if got, r = u.warmed(0, "-L", private); got.Fetched != 1 {
		t.Errorf("-L with a user in the URL: %+v, %s", got, r.err)
	}
	if got, r := u.warmed(1, "--from", u.path("HOME/none"), fresh); got.Hits != 1 || got.Failed != 1 || !strings.Contains(r.err, "none: no such file") {
		t.Errorf("a file that is not there: %+v, %s", got, r.err)
	}
	write(t, u.path("HOME/urls"), "example.com\n"+fresh)
	if got, r := u.warmed(1, "--from", "urls"); got.Hits != 1 || got.Failed != 1 || !strings.Contains(r.err, `urls:1: URL "example.com": want it to begin with http`) {
		t.Errorf("a line that is no URL: %+v, %s", got, r.err)
	}
}

// TestWarmIntoAFailingStore counts what the store fails to keep as failed, so that --resume fetches it again. It begins
// to fail when it is open: a file with a foreign trigger is set aside.
func TestWarmIntoAFailingStore(t *testing.T) {
	t.Parallel()
	u := newUser(t, "sqlite:HOME/cache.sqlite")
	fail := func() {
		u.sql("CREATE TRIGGER IF NOT EXISTS full BEFORE INSERT ON entries WHEN NEW.url LIKE '%bad%' BEGIN SELECT RAISE(ABORT, 'no room'); END")
	}
	var fails atomic.Bool
	o := newCounter(t, 0, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad" && fails.Load() {
			fail()
		}
		w.Header().Set("Cache-Control", "max-age=600")
	})
	good, bad := o.URL+"/good", o.URL+"/bad"
	u.ok("warm", "--store", "disk:other", bad)
	har := u.ok("export", "--store", "disk:other")
	fails.Store(true)

	got, r := u.warmed(1, "--resume", "done", good, bad)
	u.sql("DROP TRIGGER full")
	if got.Fetched != 1 || got.Failed != 1 || got.FailedHosts["(the store)"] != 1 || len(got.NotStored) != 0 ||
		strings.Count(r.err, "\n") != 1 || !strings.Contains(r.err, bad+": sqlite: ") || !strings.Contains(r.err, "no room") {
		t.Errorf("%+v, says %s", got, r.err)
	}
	if got, r := u.warmed(1, "-q", bad, bad); got.Failed != 2 || r.err != "" {
		t.Errorf("-q: %+v, says %s", got, r.err)
	}
	u.sql("DROP TRIGGER full")
	cmd := u.command("import", "--json", "-")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		io.WriteString(stdin, strings.Repeat(" ", 1<<20)) // more than a pipe holds, so that it is read by now
		fail()
		io.WriteString(stdin, har)
		stdin.Close()
	}()
	r = u.finish(cmd)
	if want := `"imported":0,"bytes":0,"present":0,`; r.code != 1 || !strings.Contains(r.out, want) || !strings.Contains(r.out, `"not_stored":{"the store failed":1}`) {
		t.Errorf("import: exit code %d, tells %s, want %s", r.code, r.out, want)
	}
	u.sql("DROP TRIGGER full")
	fails.Store(false)
	if got, _ = u.warmed(0, "--resume", "done", good, bad); got.DoneBefore != 1 || got.Fetched != 1 || len(u.stored("--prefix", bad)) != 1 {
		t.Errorf("when there is room again: %+v", got)
	}
}

// sql changes the user's SQLite store behind its back.
func (u *user) sql(statement string) {
	db, err := sql.Open("sqlite", strings.TrimPrefix(u.store, "sqlite:"))
	if err == nil {
		_, err = db.ExecContext(u.t.Context(), statement)
		db.Close()
	}
	if err != nil {
		u.t.Errorf("%s: %v", statement, err)
	}
}

// TestWarmOddLists reads a list with what editors and people put into one.
func TestWarmOddLists(t *testing.T) {
	t.Parallel()
	u, o := newUser(t, ""), newOrigin(t)
	long := strings.Repeat("x", 70_000)
	write(t, u.path("HOME/list"), "\ufeff"+o.URL+"/base64/YQ==\r\n\n # a comment, and a long one:\n#"+long+"\n"+o.URL+"/"+long+"\n"+o.URL+"/base64/Yg==")
	got, r := u.warmed(1, "--from", "list")
	if want := "larder: list:5: the line is longer than 64 KiB\n"; got.Fetched != 2 || got.Failed != 1 || r.err != want {
		t.Errorf("%+v, says %s", got, r.err)
	}
}

// TestWarmSitemap reads an index, with a packed sitemap and one of text; and those that are not as they should be, from
// which the rest is taken.
func TestWarmSitemap(t *testing.T) {
	t.Parallel()
	u := newUser(t, "disk:HOME/files")
	packed := func(s string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		io.WriteString(w, s)
		w.Close()
		return b.String()
	}
	sitemaps := map[string]string{
		"/index.xml":     "<sitemapindex><sitemap><loc>{}/one.xml.gz</loc></sitemap><sitemap><loc>{}/two.txt</loc></sitemap><sitemap><loc>{}/index.xml</loc></sitemap></sitemapindex>",
		"/one.xml.gz":    "<urlset><url><loc>{}/a</loc></url><url><loc>{}/b</loc></url></urlset>",
		"/two.txt":       "{}/c\n{}/a\n",
		"/deep1.xml":     "<sitemapindex><sitemap><loc>{}/deep2.xml</loc></sitemap></sitemapindex>",
		"/deep2.xml":     "<sitemapindex><sitemap><loc>{}/deep3.xml</loc></sitemap></sitemapindex>",
		"/deep3.xml":     "<sitemapindex><sitemap><loc>{}/deep4.xml</loc></sitemap></sitemapindex>",
		"/deep4.xml":     "<sitemapindex><sitemap><loc>{}/deep5.xml</loc></sitemap></sitemapindex>",
		"/broken.xml":    "<urlset><url>",
		"/long.txt":      "{}/a\n{}/" + strings.Repeat("x", 70_000) + "\n",
		"/elsewhere.xml": "<sitemapindex><sitemap><loc>file:///etc/passwd</loc></sitemap></sitemapindex>",
	}
	o := newCounter(t, 0, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=600")
		body := strings.ReplaceAll(sitemaps[r.URL.Path], "{}", "http://"+r.Host)
		if strings.HasSuffix(r.URL.Path, ".gz") {
			body = packed(body)
		}
		if r.URL.Path == "/none.xml" {
			w.WriteHeader(http.StatusNotFound)
		}
		io.WriteString(w, body)
	})
	got, r := u.warmed(0, "--sitemap", o.URL+"/index.xml", "--jobs", "1")
	if got.Fetched != 3 || got.Hits != 1 || r.err != "" {
		t.Errorf("%+v, %s", got, r.err)
	}
	o.once(t, []string{"/index.xml", "/one.xml.gz", "/two.txt", "/a", "/b", "/c"})
	for path, want := range map[string]string{
		"/none.xml":      "larder: sitemap {}/none.xml: the answer is 404 Not Found\n",
		"/broken.xml":    "larder: sitemap {}/broken.xml: byte 13: ",
		"/deep1.xml":     "larder: sitemap {}/deep4.xml: it lists sitemaps, more than 3 indexes deep",
		"/long.txt":      "larder: sitemap {}/long.txt:2: the line is longer than 64 KiB\n",
		"/elsewhere.xml": `larder: sitemap file:///etc/passwd: URL "file:///etc/passwd": want it to begin with http:// or https://`,
	} {
		got, r := u.warmed(1, "--sitemap", o.URL+path, o.URL+"/a")
		if want = strings.ReplaceAll(want, "{}", o.URL); got.Failed != 1 || got.Hits != 1+strings.Count(sitemaps[path], "{}/a") || !strings.HasPrefix(r.err, want) {
			t.Errorf("%s: %+v, says %q, want %q", path, got, r.err, want)
		}
	}
}

// TestWarmTellsNoPassword names a sitemap with a user, and has it fail.
func TestWarmTellsNoPassword(t *testing.T) {
	t.Parallel()
	u, o := newUser(t, "memory:"), newOrigin(t)
	at := strings.Replace(o.URL, "//", "//u:s3cret@", 1) + "/status/404"
	if _, r := u.warmed(1, "--sitemap", at); !strings.HasPrefix(r.err, "larder: sitemap "+strings.Replace(at, "s3cret", "xxxxx", 1)+": the answer is 404") {
		t.Errorf("it says %q", r.err)
	}
}

// TestWarmTellsNoOtherHostCredentials has a sitemap list what is on another host, which whoever writes into it may do.
func TestWarmTellsNoOtherHostCredentials(t *testing.T) {
	t.Parallel()
	u := newUser(t, "memory:")
	var mu sync.Mutex
	told := make(map[string]bool)
	var mine, other string // URLs, written before any request comes
	tell := func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		told[r.URL.Path] = r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != ""
	}
	one := newCounter(t, 0, func(w http.ResponseWriter, r *http.Request) {
		tell(w, r)
		switch r.URL.Path {
		case "/index.xml":
			fmt.Fprintf(w, "<sitemapindex><sitemap><loc>%s/theirs.txt</loc></sitemap></sitemapindex>", other)
		case "/mine.txt":
			fmt.Fprintf(w, "%s/theirs\nhttp://%s/mine\n", other, r.Host)
		}
	})
	two := newCounter(t, 0, func(w http.ResponseWriter, r *http.Request) {
		tell(w, r)
		if r.URL.Path == "/theirs.txt" {
			fmt.Fprintf(w, "%s/listed-by-them\n%s/theirs-too\n", mine, other)
		}
	})
	mu.Lock()
	mine, other = one.URL, two.URL
	mu.Unlock()
	u.run("warm", "-H", "Authorization: Bearer s3cret", "-H", "Cookie: a=1", "--sitemap", mine+"/index.xml", "--sitemap", mine+"/mine.txt", other+"/given")
	want := map[string]bool{"/index.xml": true, "/mine.txt": true, "/mine": true, "/listed-by-them": true, "/given": true,
		"/theirs.txt": false, "/theirs": false, "/theirs-too": false}
	mu.Lock()
	defer mu.Unlock()
	if !maps.Equal(told, want) {
		t.Errorf("who was told credentials: %v, want %v", told, want)
	}
}

// TestWarmPolite shows that few requests are at a host at once, that --delay lies between them, and that what is stored
// waits for nobody.
func TestWarmPolite(t *testing.T) {
	t.Parallel()
	u := newUser(t, "sqlite:HOME/cache.sqlite")
	var now, most atomic.Int32
	begun := make(chan time.Time, 100)
	o := newCounter(t, 0, func(w http.ResponseWriter, r *http.Request) {
		begun <- time.Now()
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		w.Header().Set("Cache-Control", "max-age=600")
		fmt.Fprint(w, r.URL)
		now.Add(-1)
	})
	var urls []string
	for i := range 20 {
		urls = append(urls, fmt.Sprintf("%s/%d", o.URL, i))
	}
	if got, _ := u.warmed(0, append([]string{"--jobs", "20", "--per-host", "2"}, urls...)...); got.Fetched != 20 || most.Load() > 2 {
		t.Errorf("%+v, %d at once, want 2 at most", got, most.Load())
	}
	for range 20 {
		<-begun
	}
	more := []string{o.URL + "/x", o.URL + "/y", o.URL + "/z"}
	start := time.Now()
	if got, _ := u.warmed(0, append(append([]string{"--delay", "150ms"}, urls...), more...)...); got.Fetched != 3 || got.Hits != 20 {
		t.Errorf("with --delay: %+v", got)
	}
	if took := time.Since(start); took > 2*time.Second+500*time.Millisecond { // the delay is for none of the hits, which would be 3 s
		t.Errorf("it took %v", took)
	}
	first := <-begun
	<-begun
	if last := <-begun; last.Sub(first) < 250*time.Millisecond {
		t.Errorf("three requests within %v, want 150ms between any two", last.Sub(first))
	}
}

// TestWarmRetryAfter shows what becomes of a host that wants to be left alone: it is, and then asked again; unless that
// is too long.
func TestWarmRetryAfter(t *testing.T) {
	t.Parallel()
	u := newUser(t, "sqlite:HOME/cache.sqlite")
	var refused atomic.Int32
	var until atomic.Int64
	o := newCounter(t, 0, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=600")
		switch {
		case r.URL.Path == "/long":
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusServiceUnavailable)
		case refused.Add(1) == 1:
			until.Store(time.Now().Add(time.Second).UnixNano())
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		case time.Now().UnixNano() < until.Load():
			t.Errorf("%s was asked for while the host wanted to be left alone", r.URL)
		}
	})
	got, _ := u.warmed(0, "--per-host", "1", o.URL+"/a", o.URL+"/b", o.URL+"/c")
	if got.Fetched != 3 || got.Failed != 0 {
		t.Errorf("%+v", got)
	}
	got, r := u.warmed(1, "--jobs", "1", o.URL+"/long", o.URL+"/d", o.URL+"/a")
	if got.Failed != 2 || got.Hits != 1 || strings.Count(r.err, ": the host wants to be left alone until ") != 2 || o.times("/d") != 0 {
		t.Errorf("%+v, /d was asked for %d times, %s", got, o.times("/d"), r.err)
	}
}

// TestWarmResume shows when --resume does not go on: for another list, and with a file that is none of its own.
func TestWarmResume(t *testing.T) {
	t.Parallel()
	u, o := newUser(t, "sqlite:HOME/cache.sqlite"), newOrigin(t)
	a, b, bad := o.URL+"/uuid?a", o.URL+"/uuid?b", o.URL+"/status/404"
	if got, _ := u.warmed(1, "--resume", "done", a, bad); got.Fetched != 1 || got.Failed != 1 {
		t.Errorf("%+v", got)
	}
	asked := o.requests.Load()
	if got, _ := u.warmed(1, "--resume", "done", a, bad, b); got.DoneBefore != 1 || got.Fetched != 1 || got.Failed != 1 || o.requests.Load() != asked+2 {
		t.Errorf("a longer list: %+v, want what failed and what is new", got)
	}
	kept := read(t, u.path("HOME/done"))
	for _, args := range [][]string{{b, a, bad}, {a}} {
		r := u.run(append([]string{"warm", "--resume", "done"}, args...)...)
		if r.code != 1 || !strings.Contains(r.err, "--resume done is of another list: its first 3 URLs differ; without the file all is begun anew") {
			t.Errorf("%v: exit code %d, says %s", args, r.code, r.err)
		}
	}
	if now := read(t, u.path("HOME/done")); now != kept {
		t.Errorf("the file of another list was changed to %s", now)
	}
	write(t, u.path("HOME/notes"), `{"my": "notes"}`)
	if r := u.run("warm", "--resume", "notes", a); r.code != 1 || !strings.Contains(r.err, "--resume notes: larder warm has not written this file") ||
		read(t, u.path("HOME/notes")) != `{"my": "notes"}` {
		t.Errorf("exit code %d, says %s", r.code, r.err)
	}
}
