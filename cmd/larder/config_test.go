package main_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// file writes a configuration file, and returns its path.
func (u *user) file(text string) string {
	u.t.Helper()
	path := filepath.Join(u.t.TempDir(), "larder.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		u.t.Fatal(err)
	}
	return path
}

func TestConfigurationFile(t *testing.T) {
	o := newOrigin(t)
	u := newUser(t, "")
	path := u.file("store: {location: 'disk:files', front: {max-bytes: 1MiB}}\nrules: [{ttl: 1h}]\nredact: [token]\n")
	for _, outcome := range []string{"miss", "hit"} { // of what would not be stored by its header
		if a := u.answer(0, "--config", path, o.URL+"/uuid?token=s3cret"); a.Outcome != outcome {
			t.Errorf("%+v, want a %s", a, outcome)
		}
	}
	if out := u.ok("--config", path, "ls"); !strings.Contains(out, "/uuid?token=REDACTED") {
		t.Errorf("ls: %s", out)
	}
	if out := u.ok("--config", path, "why", o.URL+"/uuid?token=s3cret"); !strings.Contains(out, "fresh") || strings.Contains(out, "s3cret") {
		t.Errorf("why: %s", out)
	}
	if out := u.ok("--config", path, "stats"); !strings.Contains(out, "disk:"+filepath.Join(filepath.Dir(path), "files")) {
		t.Errorf("stats: %s", out)
	}
	if a := u.answer(0, "--config", path, "--store", "disk:"+t.TempDir(), o.URL+"/uuid?token=s3cret"); a.Outcome != "miss" {
		t.Errorf("with another --store: %+v", a)
	}
	if out := u.ok("--config", path, "config", "show"); !strings.Contains(out, "location: disk:files") || !strings.HasPrefix(out, "# "+path) {
		t.Errorf("show: %s", out)
	}
	if out := u.ok("config", "show"); !strings.HasPrefix(out, "# none") {
		t.Errorf("show without a file: %s", out)
	}
	if out := u.ok("config", "schema"); !strings.Contains(out, "json-schema.org/draft/2020-12") {
		t.Errorf("schema: %.100s", out)
	}
	if out := u.ok("config", "check", path); out != "" {
		t.Errorf("check: %s", out)
	}
}

// TestWhyByFile shows that why names the rule of the file that applies, and advises accordingly.
func TestWhyByFile(t *testing.T) {
	t.Parallel()
	u := newUser(t, "")
	path := u.file("rules: [{match: a.example/v1/**, ttl: 1h}, {match: a.example/v2/**, methods: [POST]}, {match: a.example, tags: [b]}]\n")
	const ifAllowed = "larder get stores the answer if its header allows it"
	for _, test := range []struct{ args, rule, orElse string }{
		{"http://a.example/v1/x", "the one for a.example/v1/**, TTL 1h0m0s", "larder get with the same flags stores the answer"},
		{"-d y http://a.example/v2/x", "the one for a.example/v2/**, for POST", ifAllowed},
		{"http://a.example/x", "the one for a.example", ifAllowed},
		{"--ttl 5m http://a.example/x", "the one for a.example; --ttl 5m", "larder get with the same flags stores the answer"},
		{"http://b.example/x", "none, the standard decides", ifAllowed},
	} {
		why := u.ok(append([]string{"--config", path, "why"}, strings.Fields(test.args)...)...)
		if !strings.Contains(why, "\nrule       "+test.rule+"\n") || !strings.Contains(why, "\nor else    "+test.orElse+"\n") {
			t.Errorf("why %s says\n%s", test.args, why)
		}
	}
}

// TestCompressedOrNot shows that a body is the same however it was stored, with the flag, the file's compress, or none,
// and however it is read; and that the flag comes before the file.
func TestCompressedOrNot(t *testing.T) {
	t.Parallel()
	const line = "this is written again and again; "
	want := strings.Repeat(line, 100)
	u, o := newUser(t, ""), newOrigin(t)
	url := o.URL + "/base64/" + base64.URLEncoding.EncodeToString([]byte(want))
	plain := u.file("store: {location: 'disk:files'}")
	packed := filepath.Join(filepath.Dir(plain), "packed.yaml")
	write(t, packed, "store: {location: 'disk:files', compress: true, front: {}}")
	ways := [][]string{{"--config", plain}, {"--config", plain, "--compress"}, {"--config", packed}, {"--config", packed, "--compress=false"},
		{"--store", "disk:" + filepath.Join(filepath.Dir(plain), "files")}}
	for _, stored := range ways {
		u.ok(append(stored, "get", "--ttl", "1h", "--force-refresh", url)...)
		found := false
		err := filepath.WalkDir(filepath.Join(filepath.Dir(plain), "files"), func(path string, d os.DirEntry, err error) error {
			found = found || err == nil && !d.IsDir() && strings.Contains(read(t, path), line+line)
			return err
		})
		if compress := stored[1] == packed && len(stored) == 2 || stored[len(stored)-1] == "--compress"; err != nil || found == compress {
			t.Errorf("with %v it is stored plain: %v, %v", stored, found, err)
		}
		for _, r := range ways {
			if got := u.ok(append(r, "get", "--offline", url)...); got != want {
				t.Errorf("stored with %v, read with %v it is %.20q, %d bytes", stored, r, got, len(got))
			}
			if got := u.ok(append(r, "ls", "--format", "{{.Size}}")...); got != fmt.Sprintln(len(want)) {
				t.Errorf("stored with %v, listed with %v its size is %s", stored, r, got)
			}
		}
	}
}

// TestServeFlagsBeforeFile shows that a flag that is given as false is said, too, and that a certificate in whose place
// a flag names another is not looked for.
func TestServeFlagsBeforeFile(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	u := newUser(t, "memory:")
	keyPair(t, u, "one")
	u.serve("--config", u.file("serve: {origins: ['"+o.URL+"'], cert: none.pem, key: none.key}"),
		"--cert", u.path("HOME/one.pem"), "--key", u.path("HOME/one.key"))
	s := u.serve("--config", u.file("serve: {origins: ['"+o.URL+"'], offline: true}"), "--offline=false")
	if resp, _ := s.get("/uuid"); resp.StatusCode != 200 {
		t.Errorf("--offline=false: %s", resp.Status)
	}
}

func TestServeByFile(t *testing.T) {
	o := newOrigin(t)
	u := newUser(t, "memory:")
	s := u.serve("--config", u.file("serve: {origins: ['"+o.URL+"'], private: true, ttl: 1h}\ncache: {name: edge}\n"))
	first, _ := s.get("/uuid")
	second, _ := s.get("/uuid")
	if first.StatusCode != 200 || !strings.HasPrefix(second.Header.Get("Cache-Status"), "edge; hit") {
		t.Errorf("%s, then %v", first.Status, second.Header)
	}
}

func TestWrongConfigurationFile(t *testing.T) {
	u := newUser(t, "")
	path := u.file("rules:\n- ttl: soon\n- colour: blue\n")
	for args, want := range map[string]string{
		"--config " + path + " ls":               path + ":2:8: rules[0].ttl: ",
		"--config /nowhere/larder.yaml ls":       "configuration file: open /nowhere/larder.yaml: ",
		"--config " + path + " config check x y": "",
	} {
		if r := u.run(strings.Fields(args)...); r.code != 2 || !strings.Contains(r.err, want) {
			t.Errorf("larder %s: code %d, %s, want %s", args, r.code, r.err, want)
		}
	}
	r := u.run("config", "check", path)
	if lines := strings.Split(strings.TrimSpace(r.out), "\n"); r.code != 1 || len(lines) != 2 || !strings.HasPrefix(lines[1], path+":3:3: rules[1]: there is no field \"colour\"") || r.err != "" {
		t.Errorf("check: code %d\n%s%s", r.code, r.out, r.err)
	}
	told := "larder: " + strings.ReplaceAll(strings.TrimSpace(r.out), "\n", "\nlarder: ") + "\n"
	if r := u.run("--config", path, "ls"); r.code != 2 || r.err != told {
		t.Errorf("ls: code %d, says\n%swant\n%s", r.code, r.err, told)
	}
	if r := u.run("--config", "none", "ls"); r.code != 0 {
		t.Errorf("none: code %d, %s", r.code, r.err)
	}
}
