package main_test

import (
	"strings"
	"testing"
)

func TestShowDrawsAndPreviews(t *testing.T) {
	t.Parallel()
	u, o := newUser(t, ""), newOrigin(t)
	for path, want := range map[string][]string{
		"/json":            {"(body: json)", "\n    \"slideshow\": {\n"},
		"/html":            {"(body: markup)", "\n  <!DOCTYPE html>"},
		"/image/png":       {"(body: png, 100 by 100 pixels)"},
		"/bytes/9?seed=1":  {"(body: binary)", "\n  00000000  "},
		"/bytes/99?seed=1": {"\n  00000030  ", "|\n  (and more: --body writes all of it)\n"},
		"/gzip":            {"(body: json)"},
	} {
		u.ok("get", "--ttl", "1h", o.URL+path)
		out := u.ok("show", o.URL+path)
		for _, w := range append(want, "\n  fresh                   ", "\n  kept                    ", "#", "|") {
			if !strings.Contains(out, w) {
				t.Errorf("show %s lacks %q:\n%s", path, w, out)
			}
		}
		if strings.ContainsAny(out, "\x1b\x00\a") {
			t.Errorf("show %s writes control characters: %q", path, out)
		}
	}
	cmd := u.command("show", o.URL+"/json")
	cmd.Env = append(cmd.Env, "LC_ALL=C.UTF-8")
	if r := u.finish(cmd); !strings.Contains(r.out, "█") {
		t.Errorf("in UTF-8:\n%s", r.out)
	}
}
