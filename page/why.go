package page

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/internal/view"
)

// mostQuestion limits the size of a question in bytes, and so that of the body in it.
const mostQuestion = 1 << 20

// question is a request, and what it asks of the cache.
type question struct {
	Method string `json:"method"` // "": GET
	URL    string `json:"url"`
	Header string `json:"header"` // lines of "Name: value"
	Body   string `json:"body"`
	Mode   string `json:"mode"`
}

var modes = map[string]larder.Mode{
	"": larder.Standard, "refresh": larder.Refresh, "force-refresh": larder.ForceRefresh, "stale": larder.PreferStored,
	"offline": larder.Offline, "offline-stale": larder.OfflineStale, "bypass": larder.Bypass,
}

// explanation is the answer to a question.
type explanation struct {
	Method   string        `json:"method"`
	URL      string        `json:"url"`
	Key      string        `json:"key"`    // "": none
	Action   string        `json:"action"` // serve, serve and refresh, validate, forward, refuse, bypass
	Reason   string        `json:"reason"`
	Section  string        `json:"section"`
	Steps    []larder.Step `json:"steps"`
	Selected string        `json:"selected"` // the id of the stored response; "": none
	Stored   []row         `json:"stored"`   // for the request, newest first
}

// why returns what would happen to a request now. Nothing is sent.
func (p *Page) why(w http.ResponseWriter, r *http.Request) error {
	var q question
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, mostQuestion)).Decode(&q); err != nil {
		return faultf(http.StatusBadRequest, "the question cannot be read: %v", err)
	}
	req, err := q.request(r)
	if err != nil {
		return err
	}
	e, err := p.Cache.Explain(r.Context(), req)
	if err != nil {
		return err
	}
	now := time.Now()
	out := explanation{Method: req.Method, URL: e.URL, Action: e.Verdict.Action.String(), Reason: e.Verdict.Reason.String(),
		Section: e.Verdict.Reason.Section(), Steps: e.Steps(), Stored: []row{}}
	if e.Key != "" {
		out.Key = view.Key(e.Key)
	}
	if e.Bypass != "" {
		out.Action, out.Reason, out.Section = "bypass", e.Bypass, ""
	}
	if e.Selected != nil {
		out.Selected = e.Selected.ID.String()
	}
	for _, stored := range e.Records[:min(len(e.Records), mostVariants)] {
		out.Stored = append(out.Stored, newRow(stored, now))
	}
	return writeJSON(w, out)
}

// request makes the request that q asks about, with the context of r.
func (q *question) request(r *http.Request) (*http.Request, error) {
	mode, ok := modes[q.Mode]
	if !ok {
		return nil, faultf(http.StatusBadRequest, "mode is %q, want refresh, force-refresh, stale, offline, offline-stale, bypass or none", q.Mode)
	}
	u, err := url.Parse(strings.TrimSpace(q.URL))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, faultf(http.StatusBadRequest, "the URL is %q, want http://host/path or https://host/path", q.URL)
	}
	req, err := http.NewRequestWithContext(larder.WithMode(r.Context(), mode), strings.ToUpper(q.Method), u.String(), strings.NewReader(q.Body))
	if err != nil {
		return nil, faultf(http.StatusBadRequest, "%v", err)
	}
	if q.Body == "" {
		req.Body, req.GetBody = nil, nil
	}
	if req.Header, err = readHeader(q.Header); err != nil {
		return nil, err
	}
	if u.User != nil && req.Header.Get("Authorization") == "" { // as http.Client does
		password, _ := u.User.Password()
		req.SetBasicAuth(u.User.Username(), password)
	}
	return req, nil
}

func readHeader(lines string) (http.Header, error) {
	h := make(http.Header)
	for line := range strings.Lines(lines) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); !ok || name == "" || strings.ContainsAny(name, " \t") {
			return nil, faultf(http.StatusBadRequest, "a line of the header is %q, want Name: value", line)
		}
		h.Add(name, strings.TrimSpace(value))
	}
	return h, nil
}
