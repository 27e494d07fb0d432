package proxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/internal/errno"
	"github.com/larder-go/larder/proxy"
)

// TestFaults shows what a client is told of an origin that fails, by RFC 9209 §2.3.
func TestFaults(t *testing.T) {
	says := func(response string) string { return raw(t, saying(response)) }
	noTLS := func(response string) string {
		origin := raw(t, func(conn net.Conn, r *bufio.Reader) { r.ReadByte(); io.WriteString(conn, response) })
		return strings.Replace(origin, "http:", "https:", 1)
	}
	silent := raw(t, func(_ net.Conn, r *bufio.Reader) { r.ReadByte(); io.Copy(io.Discard, r) })
	gone := httptest.NewServer(nil)
	gone.Close()
	secure := httptest.NewUnstartedServer(nil)
	secure.Config.ErrorLog = quiet
	secure.StartTLS()
	defer secure.Close()
	alerting := httptest.NewUnstartedServer(nil)
	alerting.Config.ErrorLog = quiet
	alerting.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}
	alerting.StartTLS()
	defer alerting.Close()

	dialing := func(dial func(ctx context.Context, network, address string) (net.Conn, error)) setup {
		return func(p *running) { p.base.DialContext = dial }
	}
	resolver := func(answer func(net.Conn)) setup {
		r := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			go answer(there)
			return here, nil
		}}
		return dialing((&net.Dialer{Resolver: r, Timeout: 200 * time.Millisecond}).DialContext)
	}
	two := certificate(t)
	two.NextProtos = []string{"h2"}
	speakingTwo := func(frames string) string {
		return "https://" + talking(t, func(conn net.Conn, r *bufio.Reader) {
			r.ReadByte()
			io.WriteString(conn, "\x00\x00\x00\x04\x00\x00\x00\x00\x00"+frames) // behind empty SETTINGS
			io.Copy(io.Discard, r)
		}, func(l net.Listener) net.Listener { return tls.NewListener(l, two) })
	}
	quick := func(p *running) { p.base.ResponseHeaderTimeout = 50 * time.Millisecond }
	trusting := func(p *running) { p.base.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} }
	for _, test := range []struct {
		name, origin string
		setup        setup
		status       int
		want         string // Proxy-Status without detail
	}{
		{"nobody listens", gone.URL, nil, 502, "connection_refused"},
		{"a name that is none", "http://larder.invalid", resolver(func(c net.Conn) { answerNXDomain(c) }), 502, `dns_error; rcode="NXDOMAIN"`},
		{"a name server that is silent", "http://larder.invalid", resolver(func(c net.Conn) { io.Copy(io.Discard, c) }), 504, "dns_timeout"},
		{"no route", gone.URL, dialing(func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: errno.ENETUNREACH}
		}), 502, "destination_ip_unroutable"},
		{"too slow to connect", "http://192.0.2.1", dialing((&net.Dialer{Timeout: time.Nanosecond}).DialContext), 504, "connection_timeout"},
		{"too slow a handshake", strings.Replace(silent, "http:", "https:", 1), func(p *running) { p.base.TLSHandshakeTimeout = 50 * time.Millisecond }, 504, "connection_timeout"},
		{"too slow to answer", silent, quick, 504, "http_response_timeout"},
		{"closed without a word", says(""), nil, 502, "connection_terminated"},
		{"reset", raw(t, func(conn net.Conn, r *bufio.Reader) { r.ReadByte(); conn.(*net.TCPConn).SetLinger(0) }), nil, 502, "connection_terminated"},
		{"told to go away", speakingTwo("\x00\x00\x08\x07\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x02"), trusting, 502, "connection_terminated"},
		{"pinged in vain", speakingTwo(""), func(p *running) {
			trusting(p)
			p.base.HTTP2 = &http.HTTP2Config{SendPingTimeout: 10 * time.Millisecond, PingTimeout: 10 * time.Millisecond}
		}, 504, "http_response_timeout"},
		{"half a head", says("HTTP/1.1 200 OK\r\nA: b\r\n"), nil, 502, "http_response_incomplete"},
		{"no HTTP", says("SSH-2.0-x\r\n\r\n"), nil, 502, "http_protocol_error"},
		{"no status", says("HTTP/1.1 abc\r\n\r\n"), nil, 502, "http_protocol_error"},
		{"a status that is none", says("HTTP/1.1 001 x\r\nContent-Length: 0\r\n\r\n"), nil, 502, "http_protocol_error"},
		{"a head without names", says("HTTP/1.1 200 OK\r\nnonsense\r\n\r\n"), nil, 502, "http_protocol_error"},
		{"two lengths", says("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), nil, 502, "http_protocol_error"},
		{"too long a head", says("HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 300<<10) + "\r\n\r\n"), nil, 502, "http_response_header_section_size"},
		{"a coding that is not undone", says("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"), nil, 502, "http_response_transfer_coding"},
		{"a protocol that nobody asked for", says("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"), nil, 502, "http_upgrade_failed"},
		{"plain instead of TLS", noTLS("HTTP/1.1 400 Bad Request\r\n\r\n"), nil, 502, "tls_protocol_error"},
		{"nonsense instead of TLS", noTLS("SSH-2.0-x and so on\r\n\r\n"), nil, 502, "tls_protocol_error"},
		{"a certificate of nobody", secure.URL, nil, 502, "tls_certificate_error"},
		{"an alert", alerting.URL, trusting, 502, "tls_alert_received"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := run(t, test.origin, func(p *running) {
				if test.setup != nil {
					test.setup(p)
				}
			})
			for _, method := range []string{"GET", "POST"} {
				resp, body := p.do(p.client(false), method, "/secret?token=secret", nil, "Authorization: secret")
				got := resp.Header.Get("Proxy-Status")
				if resp.StatusCode != test.status || !strings.HasPrefix(got, "larder; error="+test.want+`; detail="`) {
					t.Errorf("%s: %s, Proxy-Status %s; want %d, %s (%v)", method, resp.Status, got, test.status, test.want, p.lastFault())
				}
				if detail := body[:len(body)-1]; !strings.HasSuffix(got, `; detail="`+detail+`"`) {
					t.Errorf("the body is %q", body)
				}
				if host := strings.Split(test.origin, "//")[1]; strings.Contains(got+body, host) || strings.Contains(got+body, "secret") {
					t.Errorf("it tells %q, %q", got, body)
				}
				if f := p.lastFault(); f == nil || f.Status != test.status || f.Err == nil && test.want != "http_upgrade_failed" && test.name != "a status that is none" {
					t.Errorf("Observe is told %v", f)
				}
				if resp.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("header %v", resp.Header)
				}
			}
		})
	}
}

// answerNXDomain says once that there is no such name.
func answerNXDomain(c net.Conn) {
	for {
		length := make([]byte, 2)
		if _, err := io.ReadFull(c, length); err != nil {
			return
		}
		query := make([]byte, int(length[0])<<8|int(length[1]))
		if _, err := io.ReadFull(c, query); err != nil {
			return
		}
		end := 12
		for query[end] != 0 {
			end += int(query[end]) + 1
		}
		answer := append([]byte{}, query[:end+5]...)
		answer[2], answer[3] = 0x81, 0x83 // a response; NXDOMAIN
		copy(answer[6:12], make([]byte, 6))
		c.Write(append([]byte{byte(len(answer) >> 8), byte(len(answer))}, answer...))
	}
}

// TestBrokenBodies shows that a client never takes a part for the whole, and that no part is stored.
func TestBrokenBodies(t *testing.T) {
	for _, response := range []string{
		"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 100\r\n\r\npart",
		"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
		"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\nxyz\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
	} {
		p := run(t, raw(t, saying(response)))
		for _, two := range []bool{false, true} {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, "GET", p.url+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := p.client(two).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err == nil || string(body) != "part" {
				t.Errorf("%q, HTTP/2 %v: the client gets %q, %v", response, two, body, err)
			}
			if f := p.lastFault(); f == nil || f.Type != "http_response_incomplete" {
				t.Errorf("Observe is told %v", f)
			}
		}
		if s := p.p.Cache.Stats(); s.Stored != 0 {
			t.Errorf("%q is stored", response)
		}
	}
}

// TestBrokenBodiesForOldClients shows that who speaks HTTP/1.0, and gets no Content-Length, sees that a response is not
// whole.
func TestBrokenBodiesForOldClients(t *testing.T) {
	for _, secure := range []bool{false, true} {
		p := run(t, raw(t, saying("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n")), func(p *running) {
			if secure {
				p.s.TLS = certificate(t)
			}
		})
		conn, _ := p.dial()
		if secure {
			conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
		}
		io.WriteString(conn, "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
		if got, err := io.ReadAll(conn); err == nil {
			t.Errorf("TLS %v: the client takes %q for the whole", secure, got)
		}
	}
}

// TestStaleInsteadOfFault shows that a stored response stands in for an origin that is down, where that is allowed.
func TestStaleInsteadOfFault(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=0, stale-if-error=60")
		io.WriteString(w, "old")
	}))
	p := run(t, origin.URL)
	p.get("/")
	origin.Close()
	if resp, body := p.get("/"); resp.StatusCode != 200 || body != "old" {
		t.Errorf("%s %q", resp.Status, body)
	}
	if resp, _ := p.get("/else"); resp.StatusCode != 502 {
		t.Errorf("%s", resp.Status)
	}
}

// TestFaultOfTheCache shows that the cache's own troubles are not the origin's.
func TestFaultOfTheCache(t *testing.T) {
	p := run(t, serve(t, func(http.ResponseWriter, *http.Request) {}), func(p *running) { p.p.Cache.Rules = []larder.Rule{{Match: "ftp://x"}} })
	resp, _ := p.get("/")
	if got := resp.Header.Get("Proxy-Status"); resp.StatusCode != 500 || !strings.HasPrefix(got, "larder; error=proxy_internal_error;") {
		t.Errorf("%s, Proxy-Status %s (%v)", resp.Status, got, p.lastFault())
	}
}

// TestNames shows that Proxy-Status can be read, whatever the cache's name, and has it as Cache-Status does.
func TestNames(t *testing.T) {
	origin := serve(t, func(http.ResponseWriter, *http.Request) {})
	for _, name := range []string{"larder", "two words", "2nd", "!", "a/b:c", `"`, "caf\u00e9", "\t"} {
		p := run(t, origin, func(p *running) { p.p.Cache.Name = name })
		fault, _ := p.get("/", "Host: evil.example")
		answer, _ := p.get("/")
		got, err := httpsfv.UnmarshalList(fault.Header["Proxy-Status"])
		want, err2 := httpsfv.UnmarshalList(answer.Header["Cache-Status"])
		if err != nil || err2 != nil {
			t.Errorf("%q: %v of %q, %v", name, err, fault.Header["Proxy-Status"], err2)
		} else if got, want := got[0].(httpsfv.Item).Value, want[0].(httpsfv.Item).Value; got != want {
			t.Errorf("%q: it is %v, want %v", name, got, want)
		}
	}
}

func TestFaultIsAnError(t *testing.T) {
	err := errors.New("why")
	f := &proxy.Fault{Detail: "what", Err: err}
	if !errors.Is(f, err) || f.Error() != "what: why" || (&proxy.Fault{Detail: "what"}).Error() != "what" {
		t.Error(f)
	}
}
