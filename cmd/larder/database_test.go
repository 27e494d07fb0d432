package main_test

import (
	"crypto/rand"
	"net"
	"os"
	"strings"
	"testing"
)

// databases are the forms of --store that need a server, with NAME for a part of it that is the test's own, and the
// variable that says where the server is.
var databases = map[string]struct {
	env  string
	form func(address, name string) string
}{
	"redis": {"REDIS_URL", func(a, name string) string { return a + "?prefix=" + name }},
	"rediss": {"REDIS_TLS_URL", func(a, name string) string {
		return a + "?prefix=larder:" + name + "&cacert=" + os.Getenv("REDIS_TLS_CA")
	}},
	"redis+cluster": {"REDIS_CLUSTER", func(a, name string) string { return "redis+cluster://" + a + "?prefix=" + name }},
	"redis+sentinel": {"REDIS_SENTINEL", func(a, name string) string {
		return "redis+sentinel://" + a + "/" + os.Getenv("REDIS_SENTINEL_MASTER") + "?prefix=" + name
	}},
	"mongodb":          {"MONGODB_URI", func(a, name string) string { return strings.Replace(a, "/?", "/"+name+"?", 1) }},
	"dynamodb":         {"DYNAMODB_ENDPOINT", func(a, name string) string { return "dynamodb://" + name + "?create=true&endpoint=" + a }},
	"sqlite, for once": {"", func(_, name string) string { return "sqlite:HOME/" + name }},
}

// TestDatabases fetches, lists and purges in each database, as it comes and with what goes around it.
func TestDatabases(t *testing.T) {
	for name, d := range databases {
		t.Run(name, func(t *testing.T) {
			address := os.Getenv(d.env)
			if d.env != "" && address == "" {
				t.Skipf("%s names no server, so it is not tested", d.env)
			}
			u, o := newUser(t, d.form(address, "test"+strings.ToLower(rand.Text()))), newOrigin(t)
			key := u.path("HOME/key")
			write(t, key, strings.Repeat("a1", 32))
			url := o.URL + "/bytes/5000?seed=1"
			want := o.plain(t, "/bytes/5000?seed=1")
			asked := o.requests.Load()
			for _, around := range [][]string{nil, {"--compress"}, {"--encrypt-key-file", key}, {"--compress", "--encrypt-key-file", key}} {
				with := func(args ...string) []string { return append(args, around...) }
				if got := u.ok(with("get", "--ttl", "1h", url)...); got != want {
					t.Errorf("%v: got %d bytes, want the origin's %d", around, len(got), len(want))
				}
				if a := u.answer(0, with("--ttl", "1h", "-o", u.path("HOME/out"), url)...); a.Outcome != "hit" {
					t.Errorf("%v: the second time %s, want a hit", around, a.Outcome)
				}
				if got := read(t, u.path("HOME/out")); got != want {
					t.Errorf("%v: the hit has %d wrong bytes", around, len(got))
				}
				if left := u.stored(around...); len(left) != 1 || left[0].URL != url || left[0].Size != 5000 {
					t.Errorf("%v: stored are %v, want %s", around, left, url)
				}
				if got := u.ok(with("purge", "--all")...); got != "removed 1 response\n" {
					t.Errorf("%v: purge: %q", around, got)
				}
				if left := u.stored(around...); len(left) > 0 {
					t.Errorf("%v: stored are %v after a purge", around, left)
				}
			}
			if n := o.requests.Load() - asked; n != 4 {
				t.Errorf("%d requests reached the origin, want 4", n)
			}
			if got := u.ok("stats"); d.env == "REDIS_TLS_URL" && strings.Contains(got, strings.SplitAfter(address, "@")[0]) {
				t.Errorf("stats tells the password: %s", got)
			}
		})
	}
}

// TestDatabaseOutOfReach shows that a store which cannot be reached is one sentence with its address and without its
// password.
func TestDatabaseOutOfReach(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // where nobody listens now
	nobody := l.Addr().String()
	for store, want := range map[string]string{
		"redis://me:secret@" + nobody + "/0":                      "redis at " + nobody,
		"redis://me:secret@nohost.invalid":                        "there is no host nohost.invalid",
		"redis+cluster://me:secret@" + nobody:                     nobody,
		"redis://me:secret@host/x":                                "number of a database",
		"mongodb://me:secret@" + nobody + "/x":                    "mongodb " + nobody + "/x",
		"mongodb://me:secret@" + nobody + "/a%20b":                "name",
		"dynamodb://things?region=here&endpoint=http://" + nobody: "dynamodb: table \"things\" at http://" + nobody,
		"dynamodb://things?colour=blue":                           "colour",
	} {
		u := newUser(t, store)
		r := u.run("ls")
		if r.code != 1 || !strings.Contains(r.err, "the store cannot be used: ") || !strings.Contains(r.err, want) || strings.Count(r.err, "\n") != 1 {
			t.Errorf("%s: exit code %d, says %q, want %q in one line", store, r.code, r.err, want)
		}
		if strings.Contains(r.err, "secret") {
			t.Errorf("%s: the password is told: %q", store, r.err)
		}
	}
}
