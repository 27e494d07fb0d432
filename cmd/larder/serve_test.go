package main_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// server is a larder serve that runs.
type server struct {
	t    *testing.T
	cmd  *exec.Cmd
	line string // the first that it writes
	url  string
	err  lockedBuffer
	done chan struct{}
}

// lockedBuffer can be read while a process writes to it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.b.Reset()
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// serve runs larder serve at a free port.
func (u *user) serve(args ...string) *server {
	u.t.Helper()
	s := u.start(append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	_, at, found := strings.Cut(strings.TrimSpace(s.line), " at ")
	if !found || !strings.HasPrefix(s.line, "larder: serving ") {
		u.t.Fatalf("larder serve writes %q, and says %s", s.line, s.err.String())
	}
	s.url = at
	return s
}

// start runs a command that serves until it is stopped, and waits for its first line.
func (u *user) start(args ...string) *server {
	u.t.Helper()
	s := &server{t: u.t, done: make(chan struct{})}
	s.cmd = u.command(args...)
	s.cmd.Stderr = &s.err
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		u.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		u.t.Fatal(err)
	}
	s.line, err = bufio.NewReader(out).ReadString('\n')
	go func() {
		s.cmd.Wait()
		close(s.done)
	}()
	u.t.Cleanup(func() {
		s.cmd.Process.Kill()
		<-s.done
	})
	if err != nil {
		u.t.Fatalf("larder %s writes %q, %v, and says %s", strings.Join(args, " "), s.line, err, s.err.String())
	}
	return s
}

// code waits for the exit code.
func (s *server) code() int {
	s.t.Helper()
	select {
	case <-s.done:
		return s.cmd.ProcessState.ExitCode()
	case <-time.After(20 * time.Second):
		s.t.Fatal("larder serve does not end")
		return 0
	}
}

// says waits for text on standard error.
func (s *server) says(text string) {
	s.t.Helper()
	for end := time.Now().Add(10 * time.Second); !strings.Contains(s.err.String(), text); {
		if time.Now().After(end) {
			s.t.Fatalf("it says\n%s, want %q", s.err.String(), text)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func (s *server) get(path string) (*http.Response, string) {
	s.t.Helper()
	resp, err := http.Get(s.url + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp, string(body)
}

func TestServe(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"", "disk:HOME/files", "memory:"} {
		u, o := newUser(t, store), newOrigin(t)
		s := u.serve("--origin", o.URL, "-v")
		want := o.plain(t, "/bytes/300000?seed=1")
		before := o.requests.Load()
		for range 3 {
			if resp, body := s.get("/cache/600"); resp.StatusCode != 200 || !strings.Contains(body, o.URL+"/cache/600") {
				t.Errorf("%s %s", resp.Status, body)
			}
			if _, body := s.get("/bytes/300000?seed=1"); body != want {
				t.Error("the body differs")
			}
		}
		if n := o.requests.Load() - before; n != 1+3 { // bytes says nothing of being fresh
			t.Errorf("%d requests reach the origin, want 4", n)
		}
		s.says("larder: GET " + o.URL + "/cache/600 200: miss, nothing is stored (RFC 9111 §4); stored, fresh for ")
		s.says("larder: GET " + o.URL + "/cache/600 200: hit, fresh (RFC 9111 §4.2); age ")
		o.CloseClientConnections()
		o.Close()
		if resp, _ := s.get("/uuid"); resp.StatusCode != 502 || !strings.HasPrefix(resp.Header.Get("Proxy-Status"), "larder; error=connection_refused;") {
			t.Errorf("with the origin down: %s %v", resp.Status, resp.Header)
		}
		s.says("larder: GET /uuid 502: connection_refused: the origin refused the connection: dial tcp ")
		if store == "memory:" {
			continue
		}
		if err := s.cmd.Process.Signal(os.Interrupt); err != nil { // on Windows a process cannot send one
			s.cmd.Process.Kill()
			<-s.done
		} else if code := s.code(); code != 0 {
			t.Errorf("exit code %d: %s", code, s.err.String())
		}
		again := u.serve("--origin", o.URL)
		if resp, _ := again.get("/cache/600"); resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Cache-Status"), "larder; hit") {
			t.Errorf("after a new start: %s %v", resp.Status, resp.Header)
		}
		if all := u.stored(); len(all) != 1 || all[0].URL != o.URL+"/cache/600" {
			t.Errorf("larder ls lists %v", all)
		}
	}
}

// TestServeFlags shows what some flags change; the rest is proven in package proxy.
func TestServeFlags(t *testing.T) {
	t.Parallel()
	u, o := newUser(t, ""), newOrigin(t)
	host := strings.TrimPrefix(o.URL, "http://")
	for _, test := range []struct {
		flags, path string
		status      int
		want        string // in header or body, when asked for the second time
	}{
		{"--ttl 1h", "/uuid", 200, "Cache-Status: larder; hit"},
		{"--offline", "/get", 504, "Proxy-Status: larder; error=proxy_internal_response"},
		{"--preserve-host", "/headers", 200, `"Host": [
      "HERE"`},
		{"", "/headers", 200, `"Host": [
      "` + host + `"`},
		{"--forwarded", "/headers", 200, `"for=127.0.0.1;proto=http;host=\"HERE\""`},
		{"--host larder.example", "/get", 421, ""},
		{"--json", "/cache/600", 200, "Cache-Status: larder; hit"},
	} {
		s := u.serve(append(strings.Fields(test.flags), "--origin", o.URL)...)
		s.get(test.path)
		resp, body := s.get(test.path)
		var header bytes.Buffer
		resp.Header.Write(&header)
		want := strings.ReplaceAll(test.want, "HERE", strings.TrimPrefix(s.url, "http://"))
		if all := header.String() + body; resp.StatusCode != test.status || !strings.Contains(all, want) {
			t.Errorf("%s: %s\n%s\nwant %d, %q", test.flags, resp.Status, all, test.status, want)
		}
		if test.flags == "--json" {
			var a answer
			s.says(`"outcome":"hit"`)
			for line := range strings.Lines(s.err.String()) {
				decode(t, line, &a)
			}
			if a.Outcome != "hit" || a.Status != 200 {
				t.Errorf("--json tells %+v", a)
			}
		}
	}
	limited := u.serve("--max-body", "1KiB", "--origin", "/a="+o.URL+"/anything", "--origin", "b.localhost="+o.URL, "--private", "--json")
	resp, err := http.Post(limited.url+"/a/b", "text/plain", strings.NewReader(strings.Repeat("x", 1025)))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 413 {
		t.Errorf("--max-body: %s", resp.Status)
	}
	var told struct{ Method, Target, Type string }
	limited.says("}\n")
	decode(t, limited.err.String(), &told)
	if told.Method != "POST" || told.Target != "/a/b" || told.Type != "http_request_error" {
		t.Errorf("--json tells %+v", told)
	}
	if _, body := limited.get("/a/b"); !strings.Contains(body, o.URL+"/anything/b") {
		t.Errorf("a prefix leads to %s", body)
	}
}

func TestServeTLS(t *testing.T) {
	t.Parallel()
	u, o := newUser(t, ""), newOrigin(t)
	pool := keyPair(t, u, "one")
	s := u.serve("--origin", o.URL, "--cert", u.path("HOME/one.pem"), "--key", u.path("HOME/one.key"))
	client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool}}}
	defer client.CloseIdleConnections()
	for _, want := range []string{"fwd=uri-miss", "hit"} {
		resp, err := client.Get(s.url + "/cache/600")
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.Proto != "HTTP/2.0" || !strings.Contains(resp.Header.Get("Cache-Status"), want) {
			t.Errorf("%s, Cache-Status %s, want %s", resp.Proto, resp.Header.Get("Cache-Status"), want)
		}
	}
}

// keyPair writes HOME/NAME.pem and HOME/NAME.key, and returns who trusts them.
func keyPair(t *testing.T, u *user, name string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, u.path("HOME/"+name+".pem"), string(cert))
	write(t, u.path("HOME/"+name+".key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return pool
}

// TestServeWrongInput shows that each mistake is one sentence, and that nothing is served then.
func TestServeWrongInput(t *testing.T) {
	t.Parallel()
	u := newUser(t, "sqlite:HOME/cache.sqlite")
	keyPair(t, u, "one")
	keyPair(t, u, "two")
	write(t, u.path("HOME/file"), "somebody's file")
	busy := httptest.NewServer(nil)
	defer busy.Close()
	for _, test := range []struct {
		args string
		code int
		want string
	}{
		{"", 2, "no origin is given, want --origin URL"},
		{"http://a", 2, `"http://a": no arguments are expected`},
		{"--origin api.example.com", 2, `--origin: origin "api.example.com": want a URL that begins with http:// or https://`},
		{"--origin ftp://a", 2, `origin "ftp://a": want a URL`},
		{"--origin http://", 2, `origin "http://": there is no host in it`},
		{"--origin http://me:secret@a", 2, `origin "http://a": it may hold no user or password`},
		{"--origin http://a?b", 2, `origin "http://a?b": it may hold no query or fragment`},
		{"--origin /v1/../=http://a", 2, "want one such as /v1"},
		{"--origin http://a --origin http://b", 2, `proxy: two origins for ""`},
		{"--origin http://a --listen :8080", 2, `--listen ":8080": want HOST:PORT, where the HOST 127.0.0.1 is this machine alone, and 0.0.0.0 every network`},
		{"--origin http://a --listen 127.0.0.1", 2, `--listen "127.0.0.1": want HOST:PORT`},
		{"--origin http://a --listen 127.0.0.1:99999", 2, `--listen "127.0.0.1:99999": want HOST:PORT`},
		{"--origin http://a --metrics 9464", 2, `--metrics "9464": want HOST:PORT, where the HOST 127.0.0.1 is this machine alone, and 0.0.0.0 every network`},
		{"--origin http://a --listen 127.0.0.1:0 --metrics {busy}", 1, "--metrics: listen tcp {busy}: bind: address already in use"},
		{"--origin http://a --listen {busy}", 1, "listen tcp {busy}: bind: address already in use"},
		{"--origin http://a --listen 192.0.2.1:0", 1, "listen tcp 192.0.2.1:0: bind: cannot assign requested address"},
		{"--origin http://a --cert {home}/one.pem", 2, "--cert and --key go together"},
		{"--origin http://a --key {home}/one.key", 2, "--cert and --key go together"},
		{"--origin http://a --cert {home}/none --key {home}/one.key", 1, "the certificate {home}/none with the key {home}/one.key cannot be used: open {home}/none: no such file or directory"},
		{"--origin http://a --cert {home}/one.pem --key {home}/two.key", 1, "cannot be used: tls: private key does not match public key"},
		{"--origin http://a --cert {home}/file --key {home}/one.key", 1, "cannot be used: tls: failed to find any PEM data in certificate input"},
		{"--origin http://a --cert {home}/one.key --key {home}/one.pem", 1, "cannot be used: tls: "},
		{"--origin http://a --store sqlite:{home}/file/x", 1, "the store cannot be used: sqlite: open {home}/file/x: "},
		{"--origin http://a --max-body lots", 2, `size is "lots", want one such as 512MiB`},
		{"--origin http://a --max-connections 0", 2, `want a positive number`},
		{"--origin http://a --max-connections=-1", 2, `want a positive number`},
		{"--origin http://a --stall-timeout 0s", 2, `want a positive duration`},
		{"--origin http://a --ttl soon", 2, `want a positive duration such as 90s, 15m, 2h or 7d, or forever or never`},
		{"--origin http://a --store postgres://me:secret@b", 2, `there is no kind of store "postgres"`},
	} {
		fill := strings.NewReplacer("{home}", u.home, "{busy}", busy.Listener.Addr().String())
		r := u.run(append([]string{"serve"}, strings.Fields(fill.Replace(test.args))...)...)
		if r.code != test.code || !strings.Contains(r.err, fill.Replace(test.want)) {
			t.Errorf("%s: exit code %d, %s; want %d, %s", test.args, r.code, r.err, test.code, fill.Replace(test.want))
		}
		if !strings.HasPrefix(r.err, "larder: ") || strings.Count(r.err, "\n") != 1 || r.out != "" {
			t.Errorf("%s: says %q and writes %q, want one line", test.args, r.err, r.out)
		}
		if strings.Contains(r.err, "secret") {
			t.Errorf("%s: it tells the password", test.args)
		}
	}
}

// TestServeForwarded shows that what an origin answers, who is told by which name it was asked for, is for those alone
// who ask by it, and that a change is one for all.
func TestServeForwarded(t *testing.T) {
	t.Parallel()
	u := newUser(t, "")
	var changes atomic.Int64
	o := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			changes.Add(1)
			return
		}
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, r.Header.Get("X-Forwarded-Host"), " ", changes.Load())
	}))
	defer o.Close()
	s := u.serve("--origin", o.URL, "--forwarded", "--host", "one.example", "--host", "two.example")
	for changed := range 2 {
		for _, host := range []string{"one.example", "two.example", "two.example:81", "one.example"} {
			if _, got := fetch(t, "GET", s.url, host); string(got) != fmt.Sprint(host, " ", changed) {
				t.Errorf("%s is answered %q, after %d changes", host, got, changed)
			}
		}
		if why := u.ok("why", o.URL+"/"); !strings.Contains(why, "3 more of the URL") || !strings.Contains(why, "key-headers") {
			t.Errorf("why without the rule says\n%s", why)
		}
		write(t, u.path("HOME/keyed.yaml"), "rules: [{key-headers: [X-Forwarded-Host, X-Forwarded-Proto]}]")
		why := u.ok("why", "--config", u.path("HOME/keyed.yaml"), "-H", "X-Forwarded-Host: two.example", "-H", "X-Forwarded-Proto: http", o.URL+"/")
		if !strings.Contains(why, "1 response for this request") {
			t.Errorf("why with the rule says\n%s", why)
		}
		fetch(t, "PUT", s.url, "one.example")
	}
}
