package main_test

import (
	"context"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store/sqlite"
)

// filled returns a user whose store holds five responses of one origin and one of another, for the tests that only look
// at them.
func filled(t *testing.T) (u *user, first, second *origin) {
	u, first, second = newUser(t, "sqlite:HOME/cache.sqlite"), newOrigin(t), newOrigin(t)
	u.ok("get", "--ttl", "1h", first.URL+"/base64/b25l", first.URL+"/base64/dHdv", second.URL+"/base64/b25l")
	u.ok("get", first.URL+"/etag/stale")
	u.ok("get", "--ttl", "1h", "-d", "q=bees", first.URL+"/post")

	db, err := sqlite.Open(u.path("HOME/cache.sqlite"), nil) // a tag is what a program's rules set
	if err != nil {
		t.Fatal(err)
	}
	c := &larder.Cache{Store: db, Rules: []larder.Rule{{Tags: []string{"colours"}}}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, first.URL+"/cache/600", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := resp.Body.Read(make([]byte, 1<<16)); err != nil && err.Error() != "EOF" {
		t.Fatal(err)
	}
	resp.Body.Close()
	if err := c.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return u, first, second
}

func paths(all []entry, first, second *origin) []string {
	var out []string
	for _, e := range all {
		out = append(out, strings.NewReplacer(first.URL, "1", second.URL, "2").Replace(e.Method+" "+e.URL))
	}
	slices.Sort(out)
	return out
}

// TestFilters shows that ls lists, purge --dry-run counts and purge removes the same responses.
func TestFilters(t *testing.T) {
	t.Parallel()
	u, first, second := filled(t)
	all := []string{"GET 1/base64/b25l", "GET 1/base64/dHdv", "GET 1/cache/600", "GET 1/etag/stale", "GET 2/base64/b25l", "POST 1/post"}
	if got := paths(u.stored(), first, second); !slices.Equal(got, all) {
		t.Fatalf("stored are %v, want %v", got, all)
	}
	host := strings.TrimPrefix(first.URL, "http://")
	write(t, u.path("HOME/full"), read(t, u.path("HOME/cache.sqlite")))
	for _, test := range []struct {
		filter string
		want   []string
	}{
		{"--host " + host, slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s == "GET 2/base64/b25l" })},
		{"--host example.com", nil},
		{"--prefix " + first.URL + "/base64/", all[:2]},
		{"--match 127.0.0.1/base64/*", []string{all[0], all[1], all[4]}},
		{"--match **/base64/d*", all[1:2]},
		{"--match " + host + "/**", []string{all[0], all[1], all[2], all[3], all[5]}},
		{"--tag colours", all[2:3]},
		{"--tag others", nil},
		{"--stale", all[3:4]},
		{"--stale --match **/base64/*", nil},
		{"--older-than 1h", nil},
		{"--older-than 1ns", all},
	} {
		filter := strings.Fields(test.filter)
		if got := paths(u.stored(filter...), first, second); !slices.Equal(got, test.want) {
			t.Errorf("ls %s lists %v, want %v", test.filter, got, test.want)
		}
		var dry struct {
			Removed int
			DryRun  bool `json:"dry_run"`
		}
		decode(t, u.ok(append([]string{"purge", "--dry-run", "--json"}, filter...)...), &dry)
		if dry.Removed != len(test.want) || !dry.DryRun {
			t.Errorf("purge --dry-run %s counts %d, want %d", test.filter, dry.Removed, len(test.want))
		}
		if left := u.stored(); len(left) != len(all) {
			t.Fatalf("purge --dry-run %s left %d of %d", test.filter, len(left), len(all))
		}
		copied := newUser(t, "sqlite:HOME/cache.sqlite")
		write(t, copied.path("HOME/cache.sqlite"), read(t, u.path("HOME/full")))
		copied.ok(append([]string{"purge"}, filter...)...)
		left := paths(copied.stored(), first, second)
		if want := slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(test.want, s) }); !slices.Equal(left, want) {
			t.Errorf("purge %s left %v, want %v", test.filter, left, want)
		}
	}
	if got := u.stored("--limit", "2"); len(got) != 2 {
		t.Errorf("ls --limit 2 lists %d", len(got))
	}
	if got := u.ok("purge", "--all"); got != "removed 6 responses\n" {
		t.Errorf("purge --all says %s", got)
	}
	if left := u.stored(); len(left) != 0 {
		t.Errorf("it left %v", left)
	}
}

func TestLs(t *testing.T) {
	t.Parallel()
	u, first, second := filled(t)
	text := u.ok("ls")
	for _, line := range []string{
		`METHOD  STATUS      SIZE   AGE      FRESH  URL`,
		`GET        200       3 B   +\d+s         1h  ` + first.URL + `/base64/b25l`,
		`GET        200       3 B   +\d+s         1h  ` + second.URL + `/base64/b25l`,
		`GET        200     2\d\d B   +\d+s   stale \ds  ` + first.URL + `/etag/stale`,
		`GET        200     2\d\d B   +\d+s        10m  ` + first.URL + `/cache/600`,
		`POST       200     4\d\d B   +\d+s         1h  ` + first.URL + `/post`,
	} {
		if !regexp.MustCompile(`(?m)^` + line + `$`).MatchString(text) {
			t.Errorf("ls has no line %s in\n%s", line, text)
		}
	}
}

func TestShow(t *testing.T) {
	t.Parallel()
	u, o := newUser(t, ""), newOrigin(t)
	url := o.URL + "/response-headers?Vary=Accept-Language&Cache-Control=max-age%3D3600&X-Long=a%0Ab"
	for _, language := range []string{"de", "en"} {
		u.ok("get", "-H", "Accept-Language: "+language, url)
	}
	shown := u.ok("show", url)
	for _, want := range []string{"request    GET " + o.URL + "/response-headers?Vary=", "\n           Accept-Language: de\n", "\n           Accept-Language: en\n",
		"\nresponse   HTTP/1.1 200, ", "\nfresh      until ", "\nkept       until ", "\n  Cache-Control: max-age=3600\n"} {
		if !strings.Contains(shown, want) {
			t.Errorf("show has no %q in\n%s", want, shown)
		}
	}
	r := u.run("show", "--body", url)
	if r.code != 2 || !strings.Contains(r.err, "2 responses are stored; choose one by --id: ") {
		t.Errorf("show --body of two: exit code %d, %s", r.code, r.err)
	}
	stored := u.stored()
	for _, e := range stored {
		if body := u.ok("show", "--body", "--id", e.ID, url); int64(len(body)) != e.Size || e.Size == 0 {
			t.Errorf("show --body --id %s writes %d bytes, want %d", e.ID, len(body), e.Size)
		}
	}
	if r := u.run("rm", url, o.URL+"/none"); r.code != 1 || r.out != "removed 2 responses\n" || !strings.Contains(r.err, "nothing is stored of "+o.URL+"/none") {
		t.Errorf("rm of one that is there and one that is not: exit code %d, %s%s", r.code, r.out, r.err)
	}
}

// TestWhySaysWhatGetDoes compares what why foretells with what then happens.
func TestWhySaysWhatGetDoes(t *testing.T) {
	t.Parallel()
	u, o := newUser(t, ""), newOrigin(t)
	u.ok("get", "--ttl", "1h", o.URL+"/base64/b25l")
	u.ok("get", "--ttl", "forever", o.URL+"/uuid")
	u.ok("get", o.URL+"/etag/x")
	u.ok("get", "--ttl", "1h", "-d", "q=bees", o.URL+"/post")
	u.ok("get", "--ttl", "1h", "-H", "Range: bytes=0-49", o.URL+"/range/100")
	u.ok("get", "-H", "Accept-Language: de", o.URL+"/response-headers?Vary=Accept-Language&Cache-Control=max-age%3D3600")
	for _, test := range []struct {
		args, verdict, because, orElse string
		outcome                        string
		code                           int
	}{
		{"/base64/b25l", "answered from the store", "(RFC 9111 §4.2); age ", "--refresh asks the origin", "hit", 0},
		{"/uuid", "answered from the store", "(RFC 9111 §4.2); age ", "larder rm removes it", "hit", 0},
		{"/base64/dHdv", "the origin is asked", "nothing is stored (RFC 9111 §4)", "larder get --ttl DURATION stores it", "miss", 0},
		{"/base64/dHdv --offline", "refused with status 504", "(RFC 9111 §5.2.1.7)", "without --offline the origin is asked", "refused", 3},
		{"/etag/x", "the origin is asked whether the stored response still holds", "stale (RFC 9111 §4.2.4)", "--stale takes it as it is", "revalidated", 0},
		{"/etag/x --offline", "refused with status 504", "§5.2.1.7", "--stale takes the stale one", "refused", 3},
		{"/etag/x --stale", "answered from the store", "age ", "--force-refresh fetches it anew", "stale", 0},
		{"/etag/x --bypass", "the cache takes no part in it", "bypass", "without --bypass the cache takes part", "bypassed", 0},
		{"/base64/b25l -H Cookie:a=b", "the origin is asked", "nothing is stored", "send the same credentials, method and body as then", "miss", 0},
		{"/base64/b25l --force-refresh", "the origin is asked", "", "without --force-refresh what is stored is looked at", "miss", 0},
		{"/range/100 -H Range:bytes=10-19", "answered from the store", "(RFC 9111 §4.2)", "larder rm removes it", "hit", 0},
		{"/range/100", "the origin is asked", "only a part of it is stored (RFC 9111 §3.4)", "larder get fetches what is missing", "miss", 0},
		{"/post -d q=bees --ttl 1h", "answered from the store", "(RFC 9111 §4.2)", "--refresh", "hit", 0},
		{"/post -d q=bees", "the cache takes no part in it", "the method is not cached", "--ttl DURATION stores responses to POST, too", "bypassed", 0},
		{"/response-headers?Vary=Accept-Language&Cache-Control=max-age%3D3600 -H Accept-Language:en", "the origin is asked", "(RFC 9111 §4.1)",
			"send the fields in VARY with the same values", "miss", 0},
	} {
		args := strings.Fields(o.URL + test.args)
		before := o.requests.Load()
		why := u.ok(append([]string{"why"}, args...)...)
		if o.requests.Load() != before {
			t.Errorf("why %s asked the origin", test.args)
		}
		if !strings.Contains(why, "\nverdict    "+test.verdict+"\n") || !strings.Contains(why, test.because) || !strings.Contains(why, test.orElse) {
			t.Errorf("why %s says\n%s", test.args, why)
		}
		if a := u.answer(test.code, args...); a.Outcome != test.outcome {
			t.Errorf("get %s is a %s, want %s", test.args, a.Outcome, test.outcome)
		}
	}
}

func TestStats(t *testing.T) {
	t.Parallel()
	u, first, second := filled(t)
	var s struct {
		Store                   string
		Responses, Fresh, Stale int
		BodyBytes               int64 `json:"body_bytes"`
		Bytes                   int64
		Hosts                   []struct {
			Host      string
			Responses int
		}
	}
	decode(t, u.ok("stats", "--json"), &s)
	var bodies int64
	for _, e := range u.stored() {
		bodies += e.Size
	}
	if s.Store != u.store || s.Responses != 6 || s.Fresh != 5 || s.Stale != 1 || s.BodyBytes != bodies || s.Bytes <= bodies || len(s.Hosts) != 2 ||
		"http://"+s.Hosts[0].Host != first.URL || s.Hosts[0].Responses != 5 || "http://"+s.Hosts[1].Host != second.URL {
		t.Errorf("stats tells %+v", s)
	}
	text := u.ok("stats")
	for _, want := range []string{"store      " + u.store + "\n", "responses  6 (5 fresh, 1 stale)\n", "  127.0.0.1:"} {
		if !strings.Contains(text, want) {
			t.Errorf("stats has no %q in\n%s", want, text)
		}
	}
}

// TestSweepKeepsTheLimit fills a store without a limit, and sweeps it with one: what was used last stays.
func TestSweepKeepsTheLimit(t *testing.T) {
	for _, store := range []string{"sqlite:HOME/cache.sqlite", "disk:HOME/files"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			u, o := newUser(t, store+"?max-bytes=none"), newOrigin(t)
			for _, seed := range []string{"1", "2", "3"} {
				u.ok("get", "--ttl", "1h", o.URL+"/bytes/400000?seed="+seed)
			}
			if got := u.ok("sweep"); got != "removed 0 responses\n" {
				t.Errorf("without a limit it says %s", got)
			}
			limit := strings.Replace(u.store, "none", "1MB", 1)
			if got := u.ok("sweep", "--store", limit); got != "removed 1 response\n" {
				t.Errorf("with a limit of 1 MB it says %s", got)
			}
			left := u.stored()
			if len(left) != 2 || slices.ContainsFunc(left, func(e entry) bool { return strings.HasSuffix(e.URL, "=1") }) {
				t.Errorf("it left %v, want the two used last", left)
			}
			if names, err := filepath.Glob(u.path("HOME/*")); err != nil || len(names) == 0 {
				t.Errorf("the store is gone: %v", err)
			}
		})
	}
}
