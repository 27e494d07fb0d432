package suite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Origin is the server behind the cache under test. It writes its responses to the connections itself, since they must
// get there byte by byte as a test has them, malformed ones included, which no HTTP server would do.
type Origin struct {
	listener net.Listener
	ctx      context.Context // ends with Close
	stop     context.CancelFunc
	serving  sync.WaitGroup
	endless  time.Duration // how long a connection stays open after a body whose end only the connection's end tells

	mu   sync.Mutex
	runs map[string]*run
}

// run is one run of a test.
type run struct {
	id       string
	requests []Request

	mu   sync.Mutex
	log  []entry
	sent map[int][]line // the scripted headers that were sent last for each request
}

// entry is a request that the origin got.
type entry struct {
	number   int
	method   string
	header   http.Header
	response []line // what of the response the client must get
}

// line is a header line as it is sent.
type line struct{ name, value string }

// idle is for how long a connection waits for a request. Caches retry on one that died under them, and a retry voids
// the test, so it is far more than a test lasts.
const idle = 2 * time.Minute

// Listen starts an origin at an address, such as 127.0.0.1:0.
func Listen(address string) (*Origin, error) { return listen(address, 5*time.Second) }

func listen(address string, endless time.Duration) (*Origin, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("origin: %w", err)
	}
	o := &Origin{listener: l, endless: endless, runs: make(map[string]*run)}
	o.ctx, o.stop = context.WithCancel(context.Background())
	o.serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				if errors.Is(err, net.ErrClosed) {
					return
				}
				continue
			}
			o.serving.Go(func() { o.serve(c) })
		}
	})
	return o, nil
}

// URL returns the address of o: http://host:port.
func (o *Origin) URL() string { return "http://" + o.listener.Addr().String() }

// Close ends o and its connections, and waits until they are.
func (o *Origin) Close() error {
	o.stop()
	err := o.listener.Close()
	o.serving.Wait()
	return err
}

// script makes o answer the requests for a run.
func (o *Origin) script(id string, requests []Request) *run {
	r := &run{id: id, requests: requests, sent: make(map[int][]line)}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.runs[id] = r
	return r
}

func (o *Origin) forget(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.runs, id)
}

// heard returns what the origin heard, in order of arrival.
func (r *run) heard() []entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.log)
}

func (o *Origin) serve(c net.Conn) {
	defer c.Close()
	defer context.AfterFunc(o.ctx, func() { c.Close() })()
	r, w := bufio.NewReader(c), bufio.NewWriter(c)
	wait := idle
	for {
		c.SetReadDeadline(time.Now().Add(wait))
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		c.SetDeadline(time.Now().Add(idle))
		if req.Header.Get("Expect") != "" {
			io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return
		}
		end, err := o.answer(w, req)
		if err != nil || w.Flush() != nil || end == atOnce {
			return
		}
		if wait = idle; end == afterBody {
			wait = o.endless
		}
	}
}

// ending is what becomes of a connection after a response.
type ending int

const (
	staysOpen ending = iota
	afterBody        // its end is the body's end
	atOnce
)

var errDisconnect = errors.New("the test wants no response")

func (o *Origin) answer(w *bufio.Writer, req *http.Request) (ending, error) {
	target := req.RequestURI
	if u, err := url.Parse(target); err == nil && u.Host != "" {
		target = u.RequestURI() // in absolute form
	}
	rest, ok := strings.CutPrefix(target, "/test/")
	id := rest
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		id = rest[:i]
	}
	o.mu.Lock()
	run := o.runs[id]
	o.mu.Unlock()
	if !ok || run == nil {
		return refuse(w, req, http.StatusNotFound, "no such test\n")
	}

	run.mu.Lock()
	before := len(run.log) // read before the pause, as the engine does
	run.mu.Unlock()
	number, err := strconv.Atoi(req.Header.Get("Req-Num"))
	if err != nil {
		number = before + 1
	}
	if number < 1 || number > len(run.requests) {
		return refuse(w, req, http.StatusConflict, fmt.Sprintf("there is no request %d in this test\n", number))
	}
	script := &run.requests[number-1]
	if script.ResponsePause > 0 {
		select {
		case <-time.After(time.Duration(script.ResponsePause) * time.Second):
		case <-o.ctx.Done():
			return atOnce, o.ctx.Err()
		}
	}
	for _, i := range script.Interim {
		fmt.Fprintf(w, "HTTP/1.1 %d %s\r\n", i.Code, http.StatusText(i.Code))
		for _, f := range i.Headers {
			fmt.Fprintf(w, "%s: %s\r\n", f.Name, f.Value.Text)
		}
		w.WriteString("\r\n")
		if err := w.Flush(); err != nil {
			return atOnce, err
		}
	}

	now := time.Now().UnixMilli()
	status := run.status(number, req)
	scripted, checked := script.fields(target, now)
	numbers := run.note(number, req, scripted, checked)
	if script.Disconnect {
		return atOnce, errDisconnect
	}

	head := []line{
		{"Server-Base-Url", target},
		{"Server-Request-Count", strconv.Itoa(before + 1)},
		{"Client-Request-Count", strconv.Itoa(number)},
		{"Server-Now", strconv.FormatInt(now, 10)},
	}
	head = append(head, scripted...)
	if !has(head, "Content-Type") {
		head = append(head, line{"Content-Type", "text/plain"})
	}
	head = append(head, line{"Request-Numbers", numbers})
	body := run.id
	if script.ResponseBody != nil {
		body = *script.ResponseBody
	}
	return respond(w, req, status, head, body)
}

// respond writes a response, with what HTTP needs that head lacks.
func respond(w *bufio.Writer, req *http.Request, status Status, head []line, body string) (ending, error) {
	end := staysOpen
	bodiless := status.Code == http.StatusNoContent || status.Code == http.StatusNotModified || req.Method == http.MethodHead
	if !has(head, "Date") {
		head = append(head, line{"Date", time.Now().UTC().Format(http.TimeFormat)})
	}
	connection := "keep-alive"
	if req.Close || !req.ProtoAtLeast(1, 1) {
		end, connection = atOnce, "close"
	}
	if !has(head, "Connection") {
		head = append(head, line{"Connection", connection})
	}
	switch {
	case bodiless:
		body = ""
	case has(head, "Transfer-Encoding"):
		if end == staysOpen {
			end = afterBody
		}
	case !has(head, "Content-Length"):
		head = append(head, line{"Content-Length", strconv.Itoa(len(body))})
	}
	fmt.Fprintf(w, "HTTP/1.1 %d %s\r\n", status.Code, status.Phrase)
	for _, l := range head {
		fmt.Fprintf(w, "%s: %s\r\n", l.name, l.value)
	}
	w.WriteString("\r\n")
	_, err := w.WriteString(body)
	return end, err
}

func refuse(w *bufio.Writer, req *http.Request, code int, body string) (ending, error) {
	return respond(w, req, Status{code, http.StatusText(code)}, []line{{"Content-Type", "text/plain"}}, body)
}

// status returns the status that a request gets. A 304 needs a script that wants one, and a validator that is, as it
// stands, that of the script before.
func (r *run) status(number int, req *http.Request) Status {
	script := &r.requests[number-1]
	if !script.validated() || number < 2 {
		if script.Status != nil {
			return *script.Status
		}
		return Status{http.StatusOK, "OK"}
	}
	r.mu.Lock()
	previous, reached := r.sent[number-1]
	r.mu.Unlock()
	if !reached { // its dates were never made, but what it has as text counts
		previous, _ = r.requests[number-2].fields("", 0)
	}
	modified, _ := value(previous, "Last-Modified")
	tag, _ := value(previous, "ETag")
	if modified != "" && req.Header.Get("If-Modified-Since") == modified || tag != "" && req.Header.Get("If-None-Match") == tag {
		return Status{http.StatusNotModified, "Not Modified"}
	}
	return Status{999, "304 Not Generated"}
}

// fields returns the scripted header lines as they are sent, and those whose arrival is to be checked, the lines of a
// name as one.
func (r *Request) fields(target string, now int64) (sent, checked []line) {
	for _, f := range r.ResponseHeaders {
		v := f.Value.at(f.Name, now, r.RFC850)
		if r.MagicLocations && (strings.EqualFold(f.Name, "Location") || strings.EqualFold(f.Name, "Content-Location")) {
			if v = target + "/" + v; f.Value.Text == "" {
				v = target
			}
		}
		sent = append(sent, line{f.Name, v})
		if !f.Quiet {
			v, _ := value(sent, f.Name)
			checked = slices.DeleteFunc(checked, func(l line) bool { return strings.EqualFold(l.name, f.Name) })
			checked = append(checked, line{f.Name, v})
		}
	}
	return sent, checked
}

// note puts a request into the log, and returns the numbers of all that are in it.
func (r *run) note(number int, req *http.Request, sent, checked []line) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent[number] = sent
	r.log = append(r.log, entry{number, req.Method, req.Header, checked})
	var numbers strings.Builder
	for i, e := range r.log {
		if i > 0 {
			numbers.WriteByte(' ')
		}
		numbers.WriteString(strconv.Itoa(e.number))
	}
	return numbers.String()
}

// value returns the lines of a name joined to one.
func value(lines []line, name string) (string, bool) {
	var values []string
	for _, l := range lines {
		if strings.EqualFold(l.name, name) {
			values = append(values, l.value)
		}
	}
	return strings.Join(values, ", "), values != nil
}

func has(lines []line, name string) bool {
	_, ok := value(lines, name)
	return ok
}
