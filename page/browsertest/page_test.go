package browsertest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/page"
	"github.com/larder-go/larder/store"
)

// shown is a cache, an origin and the page over both.
type shown struct {
	t      *testing.T
	cache  *larder.Cache
	page   *page.Page
	origin string
	url    string
}

const hostile = `<script>window.pwned = 1</script><img src=x onerror="window.pwned = 1">`

func serve(t *testing.T) *shown {
	t.Helper()
	var picture, packed bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 12, 7))); err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(&packed)
	io.WriteString(z, `{"unpacked":true}`)
	z.Close()
	o := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "max-age=600, stale-while-revalidate=60")
		h.Set("ETag", `"1"`)
		kind, body := "application/json", fmt.Sprintf(`{"path":%q,"items":[1,2,3]}`, r.URL.Path)
		switch r.URL.Path {
		case "/picture.png":
			kind, body = "image/png", picture.String()
		case "/drawing.svg":
			kind, body = "image/svg+xml", `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9" onload="window.pwned=1"><script>top.pwned = 1</script><circle r="4" cx="4" cy="4"/></svg>`
		case "/page.html":
			kind, body = "text/html", hostile
		case "/style.css":
			kind, body = "text/css", "body { color: red }"
		case "/bytes":
			kind, body = "application/octet-stream", "\x00\x01\x02\xff"
		case "/packed":
			h.Set("Content-Encoding", "gzip")
			body = packed.String()
		case "/vary":
			h.Set("Vary", "Accept-Language")
		case "/hostile":
			kind, body = hostile, hostile
			h.Set("X-Hostile", hostile)
		case "/missing":
			w.WriteHeader(http.StatusNotFound)
		}
		h.Set("Content-Type", kind)
		io.WriteString(w, body)
	}))
	t.Cleanup(o.Close)
	s := &shown{t: t, origin: o.URL}
	s.cache = &larder.Cache{Rules: []larder.Rule{{Match: "**/hostile", Tags: []string{hostile}}, {Match: "**/tagged", Tags: []string{"mine"}}}}
	s.page = &page.Page{Cache: s.cache}
	s.cache.Observe = s.page.Observe
	mux := http.NewServeMux()
	mux.Handle("/_larder/", http.StripPrefix("/_larder", s.page))
	ui := httptest.NewServer(mux)
	t.Cleanup(ui.Close)
	s.url = ui.URL + "/_larder/"
	return s
}

func (s *shown) fetch(path string, header ...string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), "GET", s.origin+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.cache.RoundTrip(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		s.t.Fatal(err)
	}
}

// stored are the paths of what is stored.
func (s *shown) stored() (paths []string) {
	s.t.Helper()
	for r, err := range s.cache.Entries(s.t.Context(), store.Query{}) {
		if err != nil {
			s.t.Fatal(err)
		}
		paths = append(paths, strings.TrimPrefix(r.URL, s.origin))
	}
	slices.Sort(paths)
	return paths
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("%s: got %s, want %s", what, g, w)
	}
}

func TestNothingYet(t *testing.T) {
	s := serve(t)
	b := open(t, s.url)
	b.sees("No request yet")
	b.show("#/entries")
	b.sees("Nothing is stored yet")
	b.picture("empty")
}

func TestEntries(t *testing.T) {
	s := serve(t)
	for i := range 55 {
		s.fetch(fmt.Sprintf("/things/%02d", i))
	}
	s.fetch("/tagged")
	s.fetch("/missing")
	s.fetch("/vary", "Accept-Language", "de")
	b := open(t, s.url)
	b.choose("Entries")
	b.sees("58 responses")
	equal(t, "the first page", len(b.rows()), 50)
	b.picture("entries")
	b.choose("Next")
	b.sees("Page 2")
	b.until("document.querySelectorAll('tbody a[data-row]').length == 8")
	b.choose("← Before")
	b.until("document.querySelectorAll('tbody a[data-row]').length == 50")
	for _, c := range []struct{ field, value, want string }{
		{"text", "THINGS/07", "[/things/07]"},
		{"tag", "mine", "[/tagged]"},
		{"status", "4xx", "[/missing]"},
		{"match", "**/vary", "[/vary]"},
		{"state", "stale", "[]"},
		{"host", "elsewhere.test", "[]"},
	} {
		b.show("#/entries")
		b.until("!location.hash.includes('?') && document.querySelectorAll('tbody a[data-row]').length == 50")
		b.fill(c.field, c.value)
		b.until("location.hash.includes(" + quote(c.field+"=") + ")")
		equal(t, c.field+" "+c.value, b.rows(), c.want)
	}
	b.sees("Nothing matches")
	b.choose("Clear")
	b.sees("58 responses")
	b.fill("order", "url")
	b.until("document.querySelector('tbody a[data-row]')?.textContent.endsWith('/missing')")
}

func TestEntry(t *testing.T) {
	s := serve(t)
	paths := []string{"/thing", "/picture.png", "/drawing.svg", "/style.css", "/bytes", "/packed"}
	for _, path := range paths {
		s.fetch(path, "Accept-Encoding", "gzip")
	}
	s.fetch("/vary", "Accept-Language", "de")
	s.fetch("/vary", "Accept-Language", "en")
	b := open(t, s.url)
	for path, want := range map[string]string{
		"/thing":       `document.querySelector("pre .hl-attr")?.textContent == '"path"'`,
		"/picture.png": `document.querySelector(".picture img")?.naturalWidth == 12`,
		"/drawing.svg": `document.querySelector(".picture img")?.complete && document.querySelector(".picture img").naturalWidth > 0 && document.querySelector("pre")`,
		"/style.css":   `document.querySelector("pre .hl-attribute")`,
		"/bytes":       `document.querySelector("pre")?.textContent.startsWith("00000000  00 01 02 ff")`,
		"/packed":      `document.querySelector("pre")?.textContent.includes('"unpacked": true') && document.body.innerText.includes("unpacked from gzip")`,
	} {
		b.show("#/entries?text=" + path)
		b.until("document.querySelectorAll('tbody a[data-row]').length == 1")
		b.click("tbody a[data-row]")
		b.until("document.querySelector('main.entry h1')?.textContent.endsWith(" + quote(path) + ")")
		b.until(want)
		b.until("document.querySelectorAll('.timeline rect').length >= 3 && document.querySelectorAll('.moments li').length >= 5")
		b.picture("entry " + strings.TrimPrefix(path, "/"))
	}
	b.show("#/entries?text=/vary")
	b.click("tbody a[data-row]")
	b.sees("All that is stored of this URL")
	b.sees("Accept-Language")
	equal(t, "it has run something", eval[bool](b, "window.pwned === undefined"), true)
	b.choose("Why?")
	b.sees("Answered from the store")
}

func TestHostileEntries(t *testing.T) {
	s := serve(t)
	s.fetch("/hostile?" + "%3Cscript%3E")
	s.fetch("/page.html")
	s.fetch("/drawing.svg")
	b := open(t, s.url)
	for i := range 3 {
		b.show("#/entries")
		b.until("document.querySelectorAll('tbody a[data-row]').length == 3")
		eval[bool](b, fmt.Sprintf("document.querySelectorAll('tbody a[data-row]')[%d].click(), true", i))
		b.until("document.querySelector('main.entry h1')")
		b.until("document.querySelector('main.entry pre, main.entry .picture')")
	}
	b.show("#/entries")
	b.until("document.querySelectorAll('tbody a[data-row]').length == 3")
	b.sees("onerror=")
	equal(t, "scripts of the page", eval[int](b, "document.scripts.length"), 1)
	equal(t, "nothing has run", eval[bool](b, "window.pwned === undefined"), true)
}

func TestPurge(t *testing.T) {
	s := serve(t)
	for _, path := range []string{"/a", "/b", "/tagged", "/things/1", "/things/2", "/vary"} {
		s.fetch(path)
	}
	b := open(t, s.url)
	b.show("#/entries?match=" + "**/things/*")
	b.choose("Remove these")
	b.sees("Remove 2 responses")
	b.picture("purge")
	s.fetch("/things/3") // after the look, and so not removed
	b.choose("Keep")
	equal(t, "kept", len(s.stored()), 7)
	b.choose("Remove these")
	b.sees("Remove 3 responses")
	b.choose("Remove 3 responses")
	b.sees("Removed 3 responses")
	equal(t, "left", s.stored(), "[/a /b /tagged /vary]")
	b.show("#/entries?tag=mine")
	b.choose("Remove these")
	b.choose("Remove 1 response")
	b.sees("Removed 1 response")
	equal(t, "left", s.stored(), "[/a /b /vary]")
	b.show("#/entries?match=**/a")
	b.until("document.querySelectorAll('tbody a[data-row]').length == 1")
	b.click("tbody a[data-row]")
	b.until("document.querySelector('main.entry')")
	b.choose("Remove …")
	b.choose("Remove 1 response")
	b.until("location.hash == '#/entries'")
	equal(t, "left", s.stored(), "[/b /vary]")
	host := strings.TrimPrefix(s.origin, "http://")
	b.show("#/entries?host=" + host)
	b.choose("Remove these")
	b.choose("Remove 2 responses")
	b.sees("Nothing matches")
	equal(t, "left", s.stored(), "[]")
}

func TestFigures(t *testing.T) {
	s := serve(t)
	for range 3 {
		s.fetch("/a")
	}
	b := open(t, s.url)
	b.sees("2 of 3 requests")
	b.until("document.querySelectorAll('.plot canvas').length == 4")
	b.sees(strings.TrimPrefix(s.origin, "http://"))
	s.fetch("/a")
	s.fetch("/b")
	b.sees("3 of 5 requests") // while it is looked at
	b.picture("figures")
	dark := func() bool { return eval[bool](b, "/\\d+/.exec(getComputedStyle(document.body).color)[0] > 128") }
	b.prefers("dark")
	b.picture("figures dark")
	equal(t, "dark as the system", dark(), true)
	b.click("#theme") // light
	equal(t, "light as chosen", dark(), false)
	b.click("#theme")
	equal(t, "dark as chosen", dark(), true)
	if err := b.reload(); err != nil {
		t.Fatal(err)
	}
	b.prefers("light")
	equal(t, "dark after a reload", dark(), true)
}

func TestWhy(t *testing.T) {
	s := serve(t)
	s.fetch("/a")
	b := open(t, s.url)
	b.choose("Why")
	b.fill("url", s.origin+"/a")
	b.sees("Answered from the store")
	b.sees("This settles it")
	b.until("document.querySelectorAll('.path li').length >= 6 && document.querySelector('.settles').innerText.includes('RFC 9111')")
	b.picture("why")
	b.fill("mode", "bypass")
	b.sees("The cache takes no part in it")
	b.fill("mode", "")
	b.fill("url", s.origin+"/b")
	b.sees("The origin is asked")
	b.fill("url", "nonsense")
	b.sees("want http://host/path")
}

// TestKeyboardAlone goes through the page without a mouse.
func TestKeyboardAlone(t *testing.T) {
	s := serve(t)
	for i := range 3 {
		s.fetch(fmt.Sprint("/item", i))
	}
	b := open(t, s.url)
	b.press("?")
	b.sees("the next, the previous one")
	b.press("\x1b")
	b.until("!document.querySelector('dialog').open")
	b.press("2")
	b.until("document.querySelectorAll('tbody a[data-row]').length == 3")
	b.press("j", "j")
	equal(t, "the second has the focus", eval[int](b, "[...document.querySelectorAll('[data-row]')].indexOf(document.activeElement)"), 1)
	b.press("k", "\r")
	b.until("document.querySelector('main.entry h1')")
	b.press("w")
	b.sees("Answered from the store")
	b.press("2")
	b.until("document.querySelectorAll('tbody a[data-row]').length == 3")
	b.press("/")
	b.until("document.activeElement.name == 'text'")
	eval[bool](b, "document.activeElement.value = '', true") // the driver sends the key's character whatever becomes of the key
	b.press("t", "e", "m", "1", "\r")
	b.until("document.querySelectorAll('tbody a[data-row]').length == 1")
	b.press("\x1b", "x")
	b.until("document.activeElement.textContent == 'Remove 1 response'")
	b.press("\r")
	b.sees("Removed 1 response")
	equal(t, "left", s.stored(), "[/item0 /item2]")
}

// TestPhone shows that nothing has to be scrolled sideways.
func TestPhone(t *testing.T) {
	s := serve(t)
	s.fetch("/a/very/long/path/" + strings.Repeat("segment/", 30) + "?query=" + strings.Repeat("x", 200))
	s.fetch("/vary", "Accept-Language", "de")
	b := open(t, s.url)
	b.size(375, 800)
	for _, view := range []string{"#/", "#/entries", "#/why?url=" + s.origin + "/vary"} {
		b.show(view)
		b.until("document.querySelector('main').children.length > 1")
		b.until("document.documentElement.scrollWidth <= 375")
		b.picture("phone " + strings.Trim(strings.Split(view, "?")[0], "#/"))
	}
	b.show("#/entries")
	b.until("document.querySelectorAll('tbody a[data-row]').length == 2")
	eval[bool](b, "document.querySelectorAll('tbody a[data-row]')[1].click(), true")
	b.until("document.querySelector('main.entry h1')")
	b.until("document.documentElement.scrollWidth <= 375")
	b.picture("phone entry")
}

func TestToken(t *testing.T) {
	s := serve(t)
	s.fetch("/a")
	s.page.Token = "s3cret"
	b := open(t, s.url)
	b.sees("A token, please")
	eval[bool](b, `document.forms[0].elements.token.value = "s3cret", document.forms[0].requestSubmit(), true`)
	b.sees("0 of 1 requests")
	other := open(t, s.url+"#token=s3cret")
	other.sees("0 of 1 requests")
	equal(t, "the address keeps no token", eval[string](other, "location.hash"), "#/")
}
