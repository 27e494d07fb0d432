package main_test

import (
	"strings"
	"testing"
)

func TestLsFiltersSortsAndFormats(t *testing.T) {
	t.Parallel()
	u, o := newUser(t, ""), newOrigin(t)
	for _, path := range []string{"/bytes/10?seed=1", "/bytes/3000?seed=1", "/bytes/200?seed=1"} {
		u.ok("get", "--ttl", "1h", o.URL+path)
	}
	u.ok("get", "--ttl", "forever", o.URL+"/base64/b25l")
	u.ok("get", o.URL+"/etag/x")
	u.run("get", o.URL+"/status/410")
	line := func(args ...string) string {
		t.Helper()
		return strings.Join(strings.Fields(strings.ReplaceAll(u.ok(append([]string{"ls", "--format", "{{.Status}}|{{.URL}}"}, args...)...), o.URL, "")), " ")
	}
	for args, want := range map[string]string{
		"--match **/bytes/* --sort size":            "200|/bytes/10?seed=1 200|/bytes/200?seed=1 200|/bytes/3000?seed=1",
		"--match **/bytes/* --sort -size --limit 2": "200|/bytes/3000?seed=1 200|/bytes/200?seed=1",
		"--sort -fresh --limit 1":                   "200|/base64/b25l",
		"--sort url --fresh --limit 1":              "200|/base64/b25l",
		"--stale --newer-than 1h":                   "200|/etag/x",
		"--older-than 1h":                           "",
		"--status 5xx":                              "",
		"--status 200 --sort received --limit 1":    "200|/bytes/10?seed=1",
		"--expired":                                 "",
	} {
		if got := line(strings.Fields(args)...); got != want {
			t.Errorf("ls %s: %s, want %s", args, got, want)
		}
	}
	if got := u.ok("ls", "--match", "**/base64/*", "--format", "{{.Status}}{{\"\\t\"}}{{.Size}}"); got != "200\t3\n" {
		t.Errorf("a tab: %q", got)
	}
	for args, want := range map[string]string{
		"--sort colour":            `--sort: "colour": want url, size`,
		"--sort -":                 `--sort: "-": want url, size`,
		"--status abc":             `--status: "abc": want a status or a class, such as 404 or 4xx`,
		"--status 200,xx4":         `--status: "xx4": want a status or a class, such as 404 or 4xx`,
		"--format {{.Colour}}":     "can't evaluate field Colour of a response; ls --json has them all",
		"--format {{":              "unclosed action",
		"--format {{.URL}} --json": "json",
	} {
		if r := u.run(append([]string{"ls"}, strings.Fields(args)...)...); r.code != 2 || !strings.Contains(r.err, want) {
			t.Errorf("ls %s: code %d, %s, want %s", args, r.code, r.err, want)
		}
	}
}
