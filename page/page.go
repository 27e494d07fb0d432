// Package page is a web page to look into a [larder.Cache], and after it. It lists what is stored, and shows each
// response in detail; it says what would happen to a request, and why; it shows what the cache did in charts; and it
// removes stored responses.
//
//	p := &page.Page{Cache: cache}
//	cache.Observe = p.Observe // for the charts
//	http.Handle("/cache/", http.StripPrefix("/cache", p))
//
// # Who may ask
//
// What is stored may be secret, and the page can remove it. So without a [Page.Token] it answers only the machine that
// it runs on. With a token, it answers whoever knows that. Browsers do not send the token by themselves: there is no
// cookie; the page's script sends it as Authorization: Bearer. So no other site can ask in a user's name.
//
// Serve the page on a listener of its own, or at least at an origin (scheme, host and port) where every script may see
// all of the cache: not beside what a proxy passes on.
//
// What comes from the cache is treated as hostile: it is shown as text, or as an image, and is never run.
package page

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/internal/figures"
)

// Page is an http.Handler that shows a Cache. Only Cache must be set, and no field may be changed once it serves. It
// must be served under a path that ends in "/", with all before that slash stripped by http.StripPrefix. It is safe for
// concurrent use.
type Page struct {
	// Cache is what is shown.
	Cache *larder.Cache
	// Name says which cache it is; "": larder.
	Name string
	// Token is the secret that requests need; "": none, and only requests from this machine are answered: those that
	// come from a loopback address, without a field by which proxies say that they passed them on.
	Token string
	// Hosts are the host names, without ports, that requests may name besides localhost and IP addresses. The page
	// answers for no other, so that no site can make its own name lead here (DNS rebinding).
	Hosts []string

	recorder figures.Recorder
	size     figures.Size
	scanning places
	site     http.CrossOriginProtection
}

// Observe counts an event for the charts. Set it as [larder.Cache.Observe], or call it from there. It returns at once.
func (p *Page) Observe(e larder.Event) { p.recorder.Observe(e) }

// ServeHTTP serves the page, its files, and the calls of its script.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	name := strings.TrimPrefix(r.URL.Path, "/")
	call, isCall := strings.CutPrefix(name, "api/")
	err := p.admit(r, isCall)
	switch {
	case err != nil:
	case isCall:
		err = p.call(w, r, call)
	default:
		err = serveAsset(w, r, name)
	}
	if err != nil {
		fail(w, err)
	}
}

// calls are the calls of the page's script.
var calls = map[string]struct {
	method string
	answer func(*Page, http.ResponseWriter, *http.Request) error
}{
	"about":   {http.MethodGet, (*Page).about},
	"figures": {http.MethodGet, (*Page).figures},
	"entries": {http.MethodGet, (*Page).entries},
	"entry":   {http.MethodGet, (*Page).entry},
	"body":    {http.MethodGet, (*Page).body},
	"why":     {http.MethodPost, (*Page).why},
	"purge":   {http.MethodPost, (*Page).purge},
}

func (p *Page) call(w http.ResponseWriter, r *http.Request, name string) error {
	c, ok := calls[name]
	if !ok {
		return faultf(http.StatusNotFound, "there is nothing at this address")
	}
	if r.Method != c.method {
		w.Header().Set("Allow", c.method)
		return faultf(http.StatusMethodNotAllowed, "the method is %s, want %s", r.Method, c.method)
	}
	if p.Cache == nil {
		return errors.New("page.Page.Cache is nil, want the cache that is to be shown")
	}
	return c.answer(p, w, r)
}

// about returns the name of the cache.
func (p *Page) about(w http.ResponseWriter, r *http.Request) error {
	name := p.Name
	if name == "" {
		name = "larder"
	}
	return writeJSON(w, map[string]string{"name": name})
}

//go:embed assets
var embedded embed.FS

// types are those of the files in assets.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
	"":      "text/plain; charset=utf-8", // the licences
}

func serveAsset(w http.ResponseWriter, r *http.Request, name string) error {
	if name == "" {
		name = "index.html"
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return faultf(http.StatusMethodNotAllowed, "the method is %s, want GET", r.Method)
	}
	content, err := fs.ReadFile(embedded, "assets/"+name) // it refuses folders, and paths that lead out
	if err != nil {
		return faultf(http.StatusNotFound, "there is nothing at this address")
	}
	w.Header().Set("Content-Type", types[path.Ext(name)])
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	return nil
}

// secure sets the fields of every response: nothing may be kept, framed, sniffed or run but the page's own files.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "+
		"form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// fault is an error response, with a sentence for the user.
type fault struct {
	status int
	text   string
}

func (f *fault) Error() string { return f.text }

func faultf(status int, format string, a ...any) error {
	return &fault{status, fmt.Sprintf(format, a...)}
}

func fail(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var f *fault
	switch {
	case errors.As(err, &f):
		status = f.status
	case errors.Is(err, larder.ErrUnsupported):
		status = http.StatusNotImplemented
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintln(w, err)
}

func writeJSON(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Write(b) // it fails if the client has left, which is no fault
	return nil
}
