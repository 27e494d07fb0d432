package proxy_test

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"
)

// framing is how the end of a body is known.
type framing byte

const (
	none    framing = iota
	length          // by Content-Length
	chunked         // in HTTP/2: by the end of the stream
	toClose         // by the end of the connection
)

func (f framing) String() string {
	return [...]string{"none", "by length", "chunked", "to the close"}[f]
}

// message is a request or a response to be sent.
type message struct {
	start    string   // method and target, or status and reason
	fields   []string // "Name: value", without what frames it
	framing  framing
	body     string
	trailers []string
	broken   bool // the body breaks off in its middle
}

func (m message) String() string {
	return fmt.Sprintf("%q %.300q, %d bytes %v, broken %v, trailers %q", m.start, m.fields, len(m.body), m.framing, m.broken, m.trailers)
}

// script is one exchange: what the client says, and what the origin does.
type script struct {
	request message
	expect  bool // the client waits with the body until it is told to go on
	early   bool // the origin answers before it reads the body
	interim []message
	answer  message
	old     bool // the origin's version is HTTP/1.0, if it is not HTTP/2
}

func (s *script) String() string {
	return fmt.Sprintf("%v\nexpect %v, early %v, old %v, interim %v\n%v", s.request, s.expect, s.early, s.old, s.interim, s.answer)
}

func (s *script) status() string { return s.answer.start[:3] }

// heard is a message as it came. The names of fields are in lower case, and sorted; the values of one name are in order.
type heard struct {
	start    string // method and target, or status
	host     string
	fields   []string // "name: value"
	length   string   // Content-Length; "": none
	body     string
	trailers []string
	broken   bool
}

// content tells of what frames the body, and of the body as far as that is certain.
func (h heard) content() []string {
	if h.broken {
		return []string{h.length, "breaks off"}
	}
	return []string{h.length, h.body}
}

// take removes the fields of that name, and returns their values.
func (h *heard) take(name string) (values []string) {
	h.fields = slices.DeleteFunc(slices.Clone(h.fields), func(field string) bool {
		n, value, _ := strings.Cut(field, ": ")
		if n == name {
			values = append(values, value)
		}
		return n == name
	})
	return values
}

// values returns those of the fields of that name.
func (h heard) values(name string) []string { return h.take(name) }

func (h *heard) add(name string, values ...string) {
	for _, value := range values {
		h.fields = append(slices.Clip(h.fields), name+": "+value)
	}
	sortFields(h.fields)
}

func sortFields(fields []string) {
	slices.SortStableFunc(fields, func(a, b string) int { return cmp.Compare(nameOf(a), nameOf(b)) })
}

func nameOf(field string) string {
	name, _, _ := strings.Cut(field, ":")
	return name
}

// writeHead and writeBody write m in HTTP/1.
func (m *message) writeHead(w io.Writer, start string) {
	head := start + "\r\n"
	for _, field := range m.fields {
		head += field + "\r\n"
	}
	switch m.framing {
	case length:
		head += fmt.Sprintf("Content-Length: %d\r\n", len(m.body))
	case chunked:
		head += "Transfer-Encoding: chunked\r\n"
	}
	io.WriteString(w, head+"\r\n")
}

func (m *message) writeBody(w io.Writer) {
	body := m.body
	if m.broken {
		body = body[:len(body)/2]
	}
	switch {
	case m.framing == chunked:
	case body != "": // to write nothing would be told of a reset, which the reader is then not
		io.WriteString(w, body)
		fallthrough
	default:
		return
	}
	var b strings.Builder
	for chunk := range slices.Chunk([]byte(body), 1000) {
		fmt.Fprintf(&b, "%X;extension=1\r\n%s\r\n", len(chunk), chunk)
	}
	if !m.broken {
		b.WriteString("0\r\n")
		for _, field := range m.trailers {
			b.WriteString(field + "\r\n")
		}
		b.WriteString("\r\n")
	}
	io.WriteString(w, b.String())
}

// readHead reads the head of a message in HTTP/1, and says whether its body has a transfer coding.
func readHead(r *bufio.Reader) (h heard, coded bool, err error) {
	if h.start, err = readLine(r); err != nil {
		return h, false, err
	}
	if h.fields, err = readFields(r); err != nil {
		return h, false, err
	}
	h.host, h.length = strings.Join(h.take("host"), " and "), strings.Join(h.take("content-length"), " and ")
	return h, h.take("transfer-encoding") != nil, nil
}

func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	return strings.TrimSuffix(line, "\r\n"), err
}

func readFields(r *bufio.Reader) (fields []string, err error) {
	for {
		line, err := readLine(r)
		if err != nil || line == "" {
			sortFields(fields)
			return fields, err
		}
		name, value, _ := strings.Cut(line, ":")
		fields = append(fields, strings.ToLower(name)+": "+strings.Trim(value, " \t"))
	}
}

func (h *heard) readBody(r *bufio.Reader, f framing) {
	var body strings.Builder
	var err error
	switch f {
	case length:
		n, _ := strconv.ParseInt(h.length, 10, 64)
		_, err = io.CopyN(&body, r, n)
	case chunked:
		for size := int64(1); size > 0 && err == nil; {
			line, _ := readLine(r)
			line, _, _ = strings.Cut(line, ";")
			if size, err = strconv.ParseInt(line, 16, 64); err == nil && size > 0 {
				_, err = io.CopyN(&body, r, size)
				_, short := readLine(r)
				err = errors.Join(err, short)
			}
		}
		if err == nil {
			h.trailers, err = readFields(r)
		}
	case toClose:
		_, err = io.Copy(&body, r)
	}
	h.body, h.broken = body.String(), err != nil
}

// actor is an origin that acts by a script.
type actor struct {
	script atomic.Pointer[script]
	mu     sync.Mutex
	heard  []heard
	came   chan struct{} // has one if there is something in heard
}

// perform runs an actor, at an address for HTTP/1.1 and at another for HTTP/2.
func perform(t *testing.T) (a *actor, one, two string) {
	a = &actor{came: make(chan struct{}, 1)}
	s := httptest.NewUnstartedServer(a)
	s.EnableHTTP2 = true
	s.Config.ErrorLog = quiet
	s.StartTLS()
	t.Cleanup(s.Close)
	return a, raw(t, a.talk), s.URL
}

func (a *actor) hear(h heard, s *script) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s != a.script.Load() { // it comes too late to be compared
		return
	}
	a.heard = append(a.heard, h)
	select {
	case a.came <- struct{}{}:
	default:
	}
}

// hasHeard returns what has come since it was called last. What breaks off comes later than the client knows, or never.
func (a *actor) hasHeard(s *script) []heard {
	if s.request.broken {
		select {
		case <-a.came:
		case <-time.After(100 * time.Millisecond):
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case <-a.came:
	default:
	}
	h := a.heard
	a.heard = nil
	return h
}

// talk acts over a connection of HTTP/1.
func (a *actor) talk(conn net.Conn, r *bufio.Reader) {
	for {
		conn.SetDeadline(time.Time{}) // it waits for the next request as long as the test goes on
		h, coded, err := readHead(r)
		if err != nil {
			return
		}
		conn.SetDeadline(time.Now().Add(patience))
		s := a.script.Load()
		answer := s.answer
		i := strings.LastIndexByte(h.start, ' ')
		version := "HTTP/1.1 "
		if s.old {
			version = "HTTP/1.0 "
		}
		old := s.old || h.start[i:] == " HTTP/1.0"
		if h.start = h.start[:i]; old {
			if answer.framing == chunked {
				answer.framing = toClose
			}
		} else {
			for _, m := range s.interim {
				m.writeHead(conn, "HTTP/1.1 "+m.start)
			}
		}
		if !s.early {
			if slices.Contains(h.fields, "expect: 100-continue") && !old {
				io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n")
			}
			f := none
			if coded {
				f = chunked
			} else if h.length != "" {
				f = length
			}
			h.readBody(r, f)
		}
		a.hear(h, s)
		if h.broken {
			return
		}
		closes := answer.framing == toClose || answer.broken || s.early || old
		if closes {
			answer.fields = append(slices.Clip(answer.fields), "Connection: close")
		}
		answer.writeHead(conn, version+answer.start)
		if !strings.HasPrefix(h.start, "HEAD ") {
			answer.writeBody(conn)
		}
		if closes {
			if s.early { // what still comes must not be the reason for a reset
				conn.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, r)
			}
			return
		}
	}
}

// ServeHTTP acts in HTTP/2.
func (a *actor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := a.script.Load()
	h := heard{start: r.Method + " " + r.RequestURI, host: r.Host, fields: lines(r.Header)}
	h.length = strings.Join(h.take("content-length"), " and ")
	if s.expect && !s.early { // net/http would send none behind other interim responses
		w.WriteHeader(http.StatusContinue)
	}
	for _, m := range s.interim {
		put(w.Header(), m.fields)
		code, _ := strconv.Atoi(m.start[:3])
		w.WriteHeader(code)
		clear(w.Header())
	}
	if !s.early {
		body, err := io.ReadAll(r.Body)
		h.body, h.broken, h.trailers = string(body), err != nil, lines(r.Trailer)
	}
	a.hear(h, s)
	w.Header()["Date"], w.Header()["Content-Type"] = nil, nil // else net/http adds its own
	put(w.Header(), s.answer.fields)
	w.Header().Del("Connection") // with close net/http would end the connection, perhaps under the next request
	body := s.answer.body
	if s.answer.framing == length {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	code, _ := strconv.Atoi(s.status())
	w.WriteHeader(code)
	c := http.NewResponseController(w)
	c.Flush() // else net/http finds out the length
	if s.answer.broken {
		io.WriteString(w, body[:len(body)/2])
		c.Flush()
		panic(http.ErrAbortHandler)
	}
	io.WriteString(w, body)
	for _, field := range s.answer.trailers {
		name, value, _ := strings.Cut(field, ":")
		w.Header().Add(http.TrailerPrefix+name, strings.TrimSpace(value))
	}
}

func put(h http.Header, fields []string) {
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ":")
		h.Add(name, strings.TrimSpace(value))
	}
}

func lines(h http.Header) (fields []string) {
	for name, values := range h {
		for _, value := range values {
			fields = append(fields, strings.ToLower(name)+": "+value)
		}
	}
	sortFields(fields)
	return fields
}

// reply is what a client gets.
type reply struct {
	interim []string // status and fields, a line each
	answer  heard
	err     error // there is no answer
}

func (r *reply) addInterim(status string, fields []string) {
	r.interim = append(r.interim, strings.Join(append([]string{status}, fields...), "\n"))
}

type client interface {
	ask(*script) reply
}

// client1 speaks HTTP/1, over one connection for as long as that is open.
type client1 struct {
	t       *testing.T
	address string
	version string // 1.0 or 1.1
	secure  bool
	conn    net.Conn // nil: none
	r       *bufio.Reader
}

func (c *client1) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

func (c *client1) ask(s *script) (got reply) {
	if c.conn == nil {
		conn, err := net.Dial("tcp", c.address)
		if err != nil {
			c.t.Fatal(err)
		}
		if c.conn = conn; c.secure {
			c.conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
		}
		c.r = bufio.NewReader(c.conn)
	}
	conn := c.conn
	conn.SetDeadline(time.Now().Add(patience))
	m := s.request
	m.fields = append([]string{"Host: " + c.address}, m.fields...)
	if c.version == "1.0" && m.framing == chunked {
		m.framing = length
	}
	if s.expect {
		m.fields = append(m.fields, "Expect: 100-continue")
	}
	m.writeHead(conn, m.start+" HTTP/"+c.version)
	var writing sync.WaitGroup
	defer writing.Wait()
	waits := s.expect && c.version != "1.0"
	switch {
	case m.broken:
		m.writeBody(conn)
		c.close()
		return reply{err: io.ErrUnexpectedEOF}
	case !waits:
		writing.Go(func() { m.writeBody(conn) })
	}
	for {
		h, coded, err := readHead(c.r)
		if err != nil {
			c.close()
			return reply{err: err}
		}
		_, status, _ := strings.Cut(h.start, " ")
		h.start, _, _ = strings.Cut(status, " ")
		if strings.HasPrefix(h.start, "1") {
			got.addInterim(h.start, h.fields)
			if h.start == "100" && waits {
				waits = false
				writing.Go(func() { m.writeBody(conn) })
			}
			continue
		}
		f := toClose
		switch {
		case strings.HasPrefix(m.start, "HEAD "), h.start == "204", h.start == "304":
			f = none
		case coded:
			f = chunked
		case h.length != "":
			f = length
		}
		h.readBody(c.r, f)
		got.answer = h
		if c.version == "1.0" || f == toClose || h.broken || waits || slices.Contains(h.fields, "connection: close") {
			writing.Wait()
			c.close()
		}
		return got
	}
}

// client2 speaks HTTP/2.
type client2 struct {
	t         *testing.T
	url       string
	transport http.RoundTripper
}

func (c *client2) ask(s *script) (got reply) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		got.addInterim(strconv.Itoa(code), lines(http.Header(h)))
		return nil
	}})
	req, err := http.NewRequestWithContext(ctx, "GET", c.url, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	m := s.request
	method, target, _ := strings.Cut(m.start, " ")
	req.Method, req.URL = method, &url.URL{Scheme: req.URL.Scheme, Host: req.URL.Host, Opaque: target} // which goes out as it is
	put(req.Header, m.fields)
	for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Connection", "Upgrade", "Trailer"} { // which HTTP/2 does not have, and net/http makes
		req.Header.Del(name)
	}
	if te := req.Header["Te"]; len(te) > 0 && slices.Max(te) != "trailers" || len(te) > 1 { // the only value that HTTP/2 has
		req.Header.Del("Te")
	}
	if req.Header["User-Agent"] == nil {
		req.Header.Set("User-Agent", "") // else net/http adds its own
	}
	if s.expect {
		req.Header.Set("Expect", "100-continue")
	}
	switch body := io.Reader(strings.NewReader(m.body)); {
	case m.broken:
		req.Body = io.NopCloser(io.MultiReader(io.LimitReader(body, int64(len(m.body)/2)), iotest.ErrReader(io.ErrUnexpectedEOF)))
	case m.body != "" || m.framing == chunked:
		req.Body = io.NopCloser(body)
	}
	if req.ContentLength = int64(len(m.body)); m.framing == chunked {
		req.ContentLength = -1
		req.Trailer = make(http.Header)
		put(req.Trailer, m.trailers)
	}
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return reply{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	h := heard{start: strconv.Itoa(resp.StatusCode), fields: lines(resp.Header), body: string(body), trailers: lines(resp.Trailer), broken: err != nil}
	h.length = strings.Join(h.take("content-length"), " and ")
	got.answer = h
	return got
}
