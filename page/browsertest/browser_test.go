package browsertest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// tab is a page in a browser.
type tab struct {
	t    *testing.T
	ctx  context.Context
	base string

	mu     sync.Mutex
	asked  []string // URLs that the browser asked for
	faults []string // what its console and its engine complained of
}

// open opens the page at a URL in a browser of its own. At the end of the test nothing may have been asked of another
// host, and nothing complained of.
func open(t *testing.T, base string) *tab {
	t.Helper()
	ctx := browser(t)
	b := &tab{t: t, ctx: ctx, base: base}
	if err := chromedp.Listen(ctx, b.note); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	b.size(1200, 900)
	if err := chromedp.Do(ctx, chromedp.Navigate(base)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.check)
	return b
}

// browser starts a browser, which ends with the test.
func browser(t *testing.T, options ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	program := os.Getenv("CLIENT_BROWSER")
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); program == "" && err == nil {
			program = path
		}
	}
	if program == "" {
		t.Skip("no Chromium here; scripts/clients installs one, and CLIENT_BROWSER names it")
	}
	options = append(options, chromedp.ExecPath(program), chromedp.NoSandbox)
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:], options...)...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func (b *tab) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.asked = append(b.asked, e.Request.URL)
	case *runtime.EventExceptionThrown:
		b.faults = append(b.faults, fmt.Sprint(e.ExceptionDetails))
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "warning" {
			b.faults = append(b.faults, fmt.Sprint(e.Args))
		}
	}
}

func (b *tab) check() {
	b.mu.Lock()
	defer b.mu.Unlock()
	home, err := url.Parse(b.base)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, asked := range b.asked {
		if u, err := url.Parse(asked); err != nil || u.Scheme != "data" && u.Scheme != "blob" && u.Host != home.Host {
			b.t.Errorf("the browser asked for %s", asked)
		}
	}
	if len(b.asked) == 0 {
		b.t.Error("the browser asked for nothing")
	}
	for _, fault := range b.faults {
		b.t.Errorf("the browser complains: %s", fault)
	}
}

// eval returns what an expression of JavaScript is.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// until waits for an expression to be true.
func (b *tab) until(expression string) {
	b.t.Helper()
	for end := time.Now().Add(patience); !eval[bool](b, "!!("+expression+")"); {
		if time.Now().After(end) {
			b.t.Fatalf("it does not become true: %s; the page shows\n%s", expression, eval[string](b, "document.body.innerText"))
		}
		<-time.After(20 * time.Millisecond)
	}
}

// sees waits for the page to show a text.
func (b *tab) sees(text string) {
	b.t.Helper()
	b.until("document.body.innerText.includes(" + quote(text) + ")")
}

func quote(s string) string {
	q, _ := json.Marshal(s)
	return string(q)
}

// click clicks by mouse on what a selector finds first.
func (b *tab) click(selector string) {
	b.t.Helper()
	b.until("document.querySelector(" + quote(selector) + ")")
	if err := chromedp.Do(b.ctx, chromedp.Click(chromedp.CSS(selector))); err != nil {
		b.t.Fatalf("click %s: %v", selector, err)
	}
}

// choose clicks on the button or link with this text.
func (b *tab) choose(text string) {
	b.t.Helper()
	found := "[...document.querySelectorAll('button, a')].find(e => e.offsetParent && e.textContent.trim().startsWith(" + quote(text) + "))"
	b.until(found)
	eval[bool](b, found+".click(), true")
}

// press presses keys, one after the other.
func (b *tab) press(keys ...string) {
	b.t.Helper()
	for _, key := range keys {
		if err := chromedp.Do(b.ctx, chromedp.KeyEvent(key)); err != nil {
			b.t.Fatalf("press %q: %v", key, err)
		}
	}
}

// fill sets a field of the form, and sends it.
func (b *tab) fill(name, value string) {
	b.t.Helper()
	field := "document.forms[0].elements[" + quote(name) + "]"
	b.until("document.forms[0]?.elements[" + quote(name) + "]")
	eval[bool](b, field+".value = "+quote(value)+", document.forms[0].requestSubmit(), true")
}

// show goes to a view by its address.
func (b *tab) show(address string) {
	b.t.Helper()
	eval[bool](b, "location.hash = "+quote(address)+", true")
}

func (b *tab) size(width, height int64) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, chromedp.EmulateViewport(width, height)); err != nil {
		b.t.Fatal(err)
	}
}

func (b *tab) prefers(scheme string) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	if err != nil {
		b.t.Fatal(err)
	}
}

// picture keeps what the page looks like in the folder that PAGE_PICTURES names, for people to look at.
func (b *tab) picture(name string) {
	b.t.Helper()
	dir := os.Getenv("PAGE_PICTURES")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/"+strings.ReplaceAll(name, " ", "-")+".png", png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// rows are the paths of the entries that are listed.
func (b *tab) rows() []string {
	b.t.Helper()
	b.until("document.querySelector('.list:not([aria-busy])')")
	return eval[[]string](b, "[...document.querySelectorAll('tbody a[data-row]')].map(a => a.textContent.replace(/^.*:\\d+/, ''))")
}

func (b *tab) reload() error { return chromedp.Do(b.ctx, chromedp.Reload()) }
