package main_test

import (
	"bufio"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

var pageAt = regexp.MustCompile(`the page is at (http://\S+)`)

func TestUI(t *testing.T) {
	for _, c := range []struct {
		listen, env string
		token       bool
	}{{"127.0.0.1:0", "", false}, {"0.0.0.0:0", "", true}, {"127.0.0.1:0", "s3cret", true}} {
		u := newUser(t, "memory:")
		cmd := u.command("ui", "--listen", c.listen)
		cmd.Env = append(cmd.Env, "LARDER_TOKEN="+c.env)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line, _ := bufio.NewReader(out).ReadString('\n')
		at := pageAt.FindStringSubmatch(line)
		if at == nil {
			t.Fatalf("it says %q", line)
		}
		base, token, made := strings.Cut(at[1], "#token=")
		if made != (c.token && c.env == "") {
			t.Errorf("at %s it says %q", c.listen, line)
		}
		base = strings.Replace(strings.Replace(base, "[::]", "127.0.0.1", 1), "0.0.0.0", "127.0.0.1", 1)
		ask := func(token string) int {
			req, err := http.NewRequestWithContext(t.Context(), "GET", base+"api/about", nil)
			if err != nil {
				t.Fatal(err)
			}
			if token != "" {
				req.Header.Set("Authorization", "Bearer "+token)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			return resp.StatusCode
		}
		if c.env != "" {
			token = c.env
		}
		if want := map[bool]int{true: 401, false: 200}[c.token]; ask("") != want || ask(token) != 200 {
			t.Errorf("at %s: %d without a token, want %d, and %d with it", c.listen, ask(""), want, ask(token))
		}
		if status, body := fetchURL(t, strings.TrimSuffix(base, "_larder/")); status != 200 || !strings.Contains(string(body), "<title>larder</title>") {
			t.Errorf("at the root: %d %s", status, body)
		}
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
}

func TestServeUI(t *testing.T) {
	o := newOrigin(t)
	u := newUser(t, "memory:")
	s := u.serve("--origin", o.URL, "--ui", "127.0.0.1:0")
	s.says("the page is at ")
	at := pageAt.FindStringSubmatch(s.err.String())
	fetchURL(t, s.url+"/cache/600")
	fetchURL(t, s.url+"/cache/600")
	if status, body := fetchURL(t, at[1]+"api/figures"); status != 200 || !strings.Contains(string(body), `"hits":1,`) || !strings.Contains(string(body), `"misses":1,`) {
		t.Errorf("figures: %d %s", status, body)
	}
	if status, _ := fetchURL(t, s.url+"/_larder/"); status != 404 {
		t.Errorf("on the proxy's own address: %d, want the origin's 404", status)
	}
}

func TestWrongUI(t *testing.T) {
	u := newUser(t, "memory:")
	for args, want := range map[string]string{
		"ui --listen 8090":                  `--listen "8090": want HOST:PORT, where the HOST 127.0.0.1 is this machine alone`,
		"ui x":                              `"x": no arguments are expected`,
		"serve --origin http://a --ui 8090": `--ui "8090": want HOST:PORT, where the HOST 127.0.0.1 is this machine alone`,
	} {
		if r := u.run(strings.Fields(args)...); r.code != 2 || !strings.Contains(r.err, want) {
			t.Errorf("larder %s: code %d, %s; want %s", args, r.code, r.err, want)
		}
	}
}
