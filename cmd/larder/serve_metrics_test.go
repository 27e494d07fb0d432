package main_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

var metricsAt = regexp.MustCompile(`metrics at (http://\S+)`)

// fetchURL returns a status and a body.
func fetchURL(t *testing.T, url string) (int, []byte) {
	t.Helper()
	return fetch(t, http.MethodGet, url, "")
}

// fetch is fetchURL with another method, and another host than the URL's unless that is "".
func fetch(t *testing.T, method, url, host string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

func TestMetricsForPrometheus(t *testing.T) {
	var asked atomic.Int64
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, "hello")
	}))
	defer origin.Close()
	u := newUser(t, "memory:")
	s := u.serve("--origin", origin.URL, "--metrics", "127.0.0.1:0")
	s.says("/metrics")
	at := metricsAt.FindStringSubmatch(s.err.String())
	if at == nil {
		t.Fatalf("it says %q", s.err.String())
	}
	for range 5 {
		if status, body := fetchURL(t, s.url+"/a"); status != 200 || string(body) != "hello" {
			t.Fatalf("%d %s", status, body)
		}
	}
	status, text := fetchURL(t, at[1])
	if status != 200 {
		t.Fatalf("status %d: %s", status, text)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	count := func(name, outcome string) (n float64) {
		for _, m := range families[name].GetMetric() {
			if outcome == "" || label(m, "larder_outcome") == outcome {
				n += float64(m.GetHistogram().GetSampleCount()) + m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
		return n
	}
	for _, c := range []struct {
		name, outcome string
		want          float64
	}{
		{"larder_request_duration_seconds", "miss", 1},
		{"larder_request_duration_seconds", "hit", 4},
		{"larder_response_body_size_bytes", "hit", 4},
		{"larder_events_total", "", 1},
		{"larder_store_entries", "", 1},
	} {
		if got := count(c.name, c.outcome); got != c.want {
			t.Errorf("%s of %q is %v, want %v", c.name, c.outcome, got, c.want)
		}
	}
	for _, name := range []string{"larder_store_usage_bytes", "larder_store_operation_duration_seconds", "go_goroutines", "process_resident_memory_bytes"} {
		if families[name] == nil {
			t.Errorf("there is no %s", name)
		}
	}
	problems, err := promlint.New(bytes.NewReader(text)).Lint()
	if err != nil {
		t.Error(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "larder_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the origin is asked %d times", n)
	}
	if status, _ := fetchURL(t, s.url+"/metrics"); status != 200 || asked.Load() != 2 {
		t.Errorf("the origin's own /metrics: status %d, %d requests to it", status, asked.Load())
	}
	if status, _ := fetchURL(t, strings.TrimSuffix(at[1], "metrics")+"a"); status != http.StatusNotFound {
		t.Errorf("something else at the metrics' address: %d", status)
	}
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := s.code(); code != 0 {
		t.Errorf("exit code %d: %s", code, s.err.String())
	}
}

func label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// TestMetricsForNobody shows that a request whose body never comes does not keep a connection, of which there are few.
func TestMetricsForNobody(t *testing.T) {
	t.Parallel()
	u, o := newUser(t, "memory:"), newOrigin(t)
	s := u.serve("--origin", o.URL, "--metrics", "127.0.0.1:0")
	s.says("/metrics")
	at := metricsAt.FindStringSubmatch(s.err.String())
	if at == nil {
		t.Fatalf("it says %q", s.err.String())
	}
	conn, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(at[1], "http://"), "/metrics"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(conn, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n")
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Errorf("it goes on: %v", err)
	}
}
