package browsertest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/internal/har"
	"github.com/larder-go/larder/internal/view"
	"github.com/larder-go/larder/store"
)

// recorded is a HAR of what a cache has stored of an origin.
func recorded(t *testing.T) (archive, origin string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "max-age=600")
		switch r.URL.Path {
		case "/text":
			h.Set("Content-Type", "text/plain; charset=utf-8")
			io.WriteString(w, "\"é\", \U0001f600 and \x1b\u2028")
		case "/binary":
			h.Set("Content-Type", "image/png")
			w.Write([]byte("\x89PNG\xff\x00"))
		case "/packed":
			h.Set("Content-Type", "text/css")
			h.Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			io.WriteString(z, "a { b: c }")
			z.Close()
		case "/moved":
			http.Redirect(w, r, "/text", http.StatusMovedPermanently)
		default:
			h.Set("Set-Cookie", "a=b; HttpOnly")
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	c := new(larder.Cache)
	for _, path := range []string{"/text?q=%20x&y", "/binary", "/packed", "/moved", "/none"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept-Encoding", "gzip")
		resp, err := c.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	var b bytes.Buffer
	w := har.NewWriter(&b, "larder", "1")
	for r, err := range c.Entries(t.Context(), store.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		body, err := c.Body(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		s, err := har.Prepare(r, body, view.Unpacker)
		if err == nil {
			err = w.Record(s)
		}
		if err != nil {
			t.Fatal(err)
		}
		body.Close()
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String(), server.URL
}

// TestDeveloperTools lets the importer of Chromium's developer tools read a HAR that larder has written. The browser
// serves the modules that they are made of at the port by which it is controlled.
func TestDeveloperTools(t *testing.T) {
	archive, origin := recorded(t)
	profile := t.TempDir()
	ctx := browser(t, chromedp.UserDataDir(profile), chromedp.ModifyCmdFunc(func(cmd *exec.Cmd) { cmd.Args = append(cmd.Args, "--remote-debugging-port=0") }))
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatal(err)
	}
	port, err := os.ReadFile(filepath.Join(profile, "DevToolsActivePort"))
	if err != nil {
		t.Fatal(err)
	}
	number, _, _ := strings.Cut(string(port), "\n")
	if err := chromedp.Do(ctx, chromedp.Navigate("http://127.0.0.1:"+number+"/devtools/devtools_app.html")); err != nil {
		t.Fatal(err)
	}
	quoted, err := json.Marshal(archive)
	if err != nil {
		t.Fatal(err)
	}
	got, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](fmt.Sprintf(`(async () => {
		const {HARFormat, Importer} = await import('/devtools/models/har/har.js');
		const shown = [];
		for (const r of Importer.Importer.requestsFromHARLog(new HARFormat.HARRoot(JSON.parse(%s)).log)) {
			const content = await r.requestContentData();
			shown.push([r.requestMethod, r.url(), r.statusCode, r.mimeType, r.resourceSize, JSON.stringify(r.queryParameters ?? []),
				r.responseHeaders.find(h => h.name === 'Location')?.value, r.responseCookies.map(c => c.name()).join(),
				r.requestHeaders().map(h => h.name + '=' + h.value).join(), content.isTextContent ? content.text : content.base64].join(' '));
		}
		return shown.sort();
	})()`, quoted), chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"GET /binary 200 image/png 6 []    iVBOR/8A",
		"GET /moved 301 text/html; charset=utf-8 40 [] /text   <a href=\"/text\">Moved Permanently</a>.\n\n",
		"GET /none 404 text/plain; charset=utf-8 19 []  a  404 page not found\n",
		"GET /packed 200 text/css 10 []   Accept-Encoding=gzip a { b: c }",
		`GET /text?q=%20x&y 200 text/plain; charset=utf-8 19 [{"name":"q","value":"%20x"},{"name":"y","value":""}]    ` + "\"é\", \U0001f600 and \x1b\u2028",
	}
	for i := range got {
		got[i] = strings.Replace(got[i], origin, "", 1)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the developer tools show %q, want %q", got, want)
	}
}
