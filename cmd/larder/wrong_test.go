package main_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWrongInput shows that each mistake is answered by one sentence that says what is wrong and where, on standard
// error, and that nothing is lost or made by it.
func TestWrongInput(t *testing.T) {
	t.Parallel()
	u, o := newUser(t, "sqlite:HOME/cache.sqlite"), newOrigin(t)
	url := o.URL + "/cache/600"
	u.ok("get", url)
	asked := o.requests.Load()
	write(t, u.path("HOME/file"), "somebody's file")
	write(t, u.path("HOME/other.sqlite"), "somebody's file as well")
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	const forms = "want sqlite:PATH, disk:DIR, memory:, redis://HOST, mongodb://HOST/DATABASE or dynamodb://TABLE"

	for _, test := range []struct {
		args string // {url} is what is stored, {gone} an origin that is down, {home} the user's home
		code int
		want string
	}{
		{"fetch", 2, `unknown command "fetch"`},
		{"gte {url}", 2, `unknown command "gte"`},
		{"gt", 2, `unknown command "gt"; did you mean get?`},
		{"help fetch", 2, `unknown command "fetch"`},
		{"help fetch --help", 2, `unknown command "fetch"`},
		{"fetch --version", 2, `unknown command "fetch"`},
		{"fetch --help", 2, `unknown command "fetch"`},
		{"gt -h", 2, `unknown command "gt"; did you mean get?`},
		{"config chek --help", 2, `unknown command "chek"`},
		{"get --nope {url}", 2, "unknown flag: --nope"},
		{"get", 2, "no URL is given"},
		{"show {url} {url}", 2, "2 URLs are given, want 1"},
		{"ls {url}", 2, "no arguments are expected"},
		{"completion", 2, "want one of bash, zsh, fish and powershell"},
		{"completion tcsh", 2, `unknown shell "tcsh", want bash, zsh, fish or powershell`},

		{"get example.com", 2, `URL "example.com": want it to begin with http:// or https://`},
		{"get {url} ftp://example.com/", 2, `URL "ftp://example.com/": want it to begin with http:// or https://`},
		{"get ftp://u:s3cret@example.com/", 2, `URL "ftp://u:xxxxx@example.com/": want it to begin with http:// or https://`},
		{"get http://u:s3cret@example.com:bad/", 2, `URL "...@example.com:bad/": invalid port`},
		{"get u:s3cret@example.com", 2, `URL "...@example.com": want it to begin with http:// or https://`},
		{"get //u:s3cret@example.com/", 2, `URL "//u:xxxxx@example.com/": want it to begin with http:// or https://`},
		{"get 127.0.0.1:s3cret@example.com", 2, `URL "...@example.com": want it to begin with http:// or https://`},
		{"get example.com/@name", 2, `URL "example.com/@name": want it to begin with http:// or https://`},
		{"get http://", 2, `URL "http://": there is no host in it`},
		{"get http://[::1", 2, `URL "http://[::1": missing ']' in host`},
		{"get http://a/%zz", 2, `URL "http://a/%zz": invalid URL escape "%zz"`},
		{"why example.com", 2, `URL "example.com"`},
		{"rm {url} example.com", 2, `URL "example.com"`},

		{"--store postgres://me:secret@host/1 get {url}", 2, `store "postgres://host/1": there is no kind of store "postgres", ` + forms},
		{"--store redis:host get {url}", 2, `store "redis:host": want it to begin with redis://`},
		{"--encrypt-key-file {home}/none get {url}", 1, "the store cannot be used: sealed: key file: open {home}/none: no such file or directory"},
		{"--encrypt-key-file {home}/file get {url}", 1, "the store cannot be used: sealed: key file {home}/file: "},
		{"--store {home}/x.sqlite get {url}", 2, `/x.sqlite": it names no kind of store, ` + forms},
		{"--store sqlite: ls", 2, `store "sqlite:": no path, ` + forms},
		{"--store memory:x ls", 2, `store "memory:x": memory: takes no path`},
		{"--store sqlite:x?max-byte=1 get {url}", 2, `unknown option "max-byte", want max-bytes=SIZE`},
		{"--store disk:x?damaged=fail get {url}", 2, `unknown option "damaged"`},
		{"--store sqlite:x?damaged=no get {url}", 2, `damaged is "no", want fail or rebuild`},
		{"--store sqlite:x?max-bytes=lots get {url}", 2, `max-bytes: size is "lots", want one such as 512MiB, 2GiB or none`},
		{"--store sqlite:x?max-bytes=0 get {url}", 2, `max-bytes: size is "0"`},
		{"--store", 2, "flag needs an argument: --store"},
		{"--compress=maybe ls", 2, `--compress is "maybe", want true or false (see larder ls --help)`},
		{"serve --private=2", 2, `--private is "2", want true or false`},
		{"--store= purge --all", 2, `"" for "--store" flag: it is empty`},
		{"--config= purge --all", 2, `"" for "--config" flag: it is empty`},
		{"warm --resume= {url}", 2, `"" for "--resume" flag: it is empty`},

		{"--encrypt-key-file {home}/none --store sqlite:{home}/untouched.sqlite get {url}", 1, "the store cannot be used: sealed: key file: "},
		{"--store sqlite:{home}/file/x.sqlite get {url}", 1, "the store cannot be used: sqlite: open {home}/file/x.sqlite: "},
		{"--store disk:{home}/file/x get {url}", 1, "{home}/file/x cannot be used: mkdir {home}/file: not a directory"},
		{"--store disk:{home}/file get {url}", 1, "{home}/file cannot be used: mkdir {home}/file: not a directory"},
		{"--store sqlite:{home} get {url}", 1, "open {home}: it is a folder; give the path of a file"},
		{"--store sqlite:{home}/other.sqlite get {url}", 1, "open {home}/other.sqlite: it is not an SQLite database"},
		{"--store sqlite:{home}/other.sqlite purge --all", 1, "open {home}/other.sqlite: it is not an SQLite database"},
		{"--store sqlite:{home}/file/x.sqlite purge --all", 1, "not a directory"},

		{"ls --match ftp://x/", 2, `--match: URL pattern "ftp://x/": scheme is "ftp", want http, https or *`},
		{"ls --match a***b", 2, "only * and ** are wildcards"},
		{"purge --match /v1/**", 2, `--match: URL pattern "/v1/**": no host`},
		{"purge --match host/?q=1", 2, "the query takes no part"},
		{"purge --match host:http/", 2, `port is "http", want a number`},
		{"purge --match=", 2, "--match is empty"},
		{"purge --host=", 2, "--host is empty"},
		{"purge", 2, "say what to remove: --host, --prefix, --match, --tag, --status, --stale, --fresh, --expired, --older-than, --newer-than, or --all"},
		{"purge --stale=false", 2, "say what to remove"},
		{"purge --dry-run", 2, "say what to remove"},
		{"purge --all --stale", 2, "--all goes with no filter"},
		{"import", 2, "no HAR file is given; - is standard input"},
		{"import --ttl never x.har", 2, "--ttl never stores nothing"},
		{"export x.har", 2, `"x.har": no arguments are expected`},
		{"export --match [", 2, "--match: "},
		{"export -o {home}/none/x.har", 1, "open {home}/none/x.har: "},
		{"purge --older-than soon", 2, `"soon" for "--older-than" flag: want a positive duration such as 90s, 15m, 2h or 7d`},
		{"ls --limit few", 2, `"few" for "--limit" flag: want a number of responses, or 0 for all`},
		{"ls --limit=-1", 2, `"-1" for "--limit" flag: want a number of responses`},

		{"get --ttl soon {url}", 2, `"soon" for "--ttl" flag: want a positive duration such as 90s, 15m, 2h or 7d, or forever or never`},
		{"get --ttl 0 {url}", 2, `"0" for "--ttl" flag: want a positive duration`},
		{"get --ttl=-5m {url}", 2, `"-5m" for "--ttl" flag: want a positive duration`},
		{"get --ttl 99999999w {url}", 2, `"99999999w" for "--ttl" flag: want a positive duration`},
		{"get --ttl= {url}", 2, `"" for "--ttl" flag: want a positive duration`},
		{"get --timeout never {url}", 2, `"never" for "--timeout" flag: want a positive duration`},
		{"get --refresh --offline {url}", 2, "--refresh and --offline exclude each other"},
		{"get --ttl 1h --bypass {url}", 2, "--ttl and --bypass exclude each other"},
		{"show --json --body {url}", 2, "--body and --json exclude each other"},
		{"show --id 12 {url}", 2, `--id: record id "12": want 32 hexadecimal digits`},
		{"get -H nonsense {url}", 2, `--header "nonsense": want "Name: value" or "Name;"`},
		{"get -H A(b):c {url}", 2, `--header "A(b):c": want "Name: value" or "Name;"`},
		{"get -H Host:x {url}", 2, `--header "Host:x": the cache tells origins apart by the URL`},
		{"show -X get {url}", 2, `--request "get": responses to that are never stored; methods are in capitals`},
		{"rm -X TRACE {url}", 2, `--request "TRACE": responses to that are never stored`},
		{"get --ttl 1m -X get {url}", 2, `--request "get": responses to that are never stored`},
		{"get -X B@D {url}", 2, `--request "B@D": want a method, such as PUT`},
		{"get -o {home}/out {url} {url}", 2, "--output takes the body of one URL, and 2 are given"},

		{"get {gone}/", 1, "larder: {gone}/: dial tcp "},
		{"get -d @{home}/none {url}", 1, "--data @{home}/none: open {home}/none: no such file or directory"},
		{"get -o {home}/none/out {url}", 1, "open {home}/none/out: "},
		{"show {gone}/", 1, "nothing is stored of {gone}/"},
		{"rm {gone}/", 1, "nothing is stored of {gone}/"},
		{"cp sqlite:{home}/none.sqlite disk:{home}/copy", 1, "there is no store at sqlite:{home}/none.sqlite yet"},
		{"show -H Authorization:me {url}", 1, "nothing is stored of {url} for exactly this request"},
		{"get --offline {gone}/", 3, "{gone}/: nothing fresh is stored for this request, and --offline forbids asking the origin"},
		{"get -H Cache-Control:only-if-cached {gone}/", 3, "{gone}/: nothing fresh is stored for this request, and only-if-cached forbids asking the origin"},
		{"get --offline --stale {gone}/", 3, "{gone}/: nothing is stored for this request, and --offline forbids asking the origin"},
	} {
		t.Run(test.args, func(t *testing.T) {
			fill := strings.NewReplacer("{url}", url, "{home}", u.home, "{gone}", gone.URL)
			r := u.run(strings.Fields(fill.Replace(test.args))...)
			if r.code != test.code {
				t.Errorf("exit code %d, want %d", r.code, test.code)
			}
			if want := fill.Replace(test.want); !strings.Contains(r.err, want) {
				t.Errorf("says %q, want %q in it", r.err, want)
			}
			if !strings.HasPrefix(r.err, "larder: ") || strings.Count(r.err, "\n") != 1 {
				t.Errorf("says %q, want one line", r.err)
			}
			if r.out != "" {
				t.Errorf("writes %q", r.out)
			}
		})
	}

	if got := read(t, u.path("HOME/file")) + ", " + read(t, u.path("HOME/other.sqlite")); got != "somebody's file, somebody's file as well" {
		t.Errorf("the files hold %q", got)
	}
	if n := o.requests.Load() - asked; n != 0 {
		t.Errorf("%d requests reached the origin", n)
	}
	if left := u.stored(); len(left) != 1 || left[0].URL != url {
		t.Errorf("stored are %v, want %s", left, url)
	}
	if made, err := filepath.Glob(u.path("HOME/untouched*")); len(made) > 0 || err != nil {
		t.Errorf("there is %v, %v: a store was made for a key that is not there", made, err)
	}
	names, err := filepath.Glob(u.path("HOME/*"))
	if err != nil || len(names) > 5 { // file, other.sqlite, cache.sqlite with its -wal and -shm
		t.Errorf("in the user's folder there are %v, %v", names, err)
	}
}

// TestLookingMakesNoStore shows that only get makes a store; for the others a missing one is an empty one.
func TestLookingMakesNoStore(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"sqlite:HOME/a/cache.sqlite", "disk:HOME/a/files", "disk:HOME"} {
		u := newUser(t, store)
		for _, args := range []string{"ls", "stats", "sweep", "purge --all", "why http://a/", "__complete get http"} {
			r := u.run(strings.Fields(args)...)
			if r.code != 0 || !strings.HasPrefix(args, "__") && !strings.Contains(r.err, "there is no store at "+u.store+" yet") {
				t.Errorf("%s: exit code %d, %s", args, r.code, r.err)
			}
		}
		if left, err := os.ReadDir(u.home); err != nil || len(left) > 0 {
			t.Errorf("%s: there is %v, %v", store, left, err)
		}
	}
}
