package behaviour

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/larder-go/larder"
)

// partialCrowd are tests of callers of parts and wholes, all at once, of a page that changes under them and breaks off
// now and then: whatever tag a response has, its bytes are those of that representation, in their place.
var partialCrowd = []test{
	{name: "a crowd that asks for parts", network: true, run: func(t *T) {
		u, f := t.near()
		u.partialCrowd()
		equal(t, "bodies that are open", f.inUse(), 0)
	}},
	{name: "a crowd that asks for parts of a distant store", network: true, run: func(t *T) {
		u, f := t.distant()
		u.partialCrowd()
		equal(t, "bodies that are open", f.inUse(), 0)
	}},
	{name: "a crowd that asks for parts, and a store that fails now and then", network: true, run: func(t *T) {
		u, f := t.near()
		f.at(every(15, with(errBroken)), lookup, open, create, write, commit, update)
		u.partialCrowd()
		equal(t, "bodies that are open", f.inUse(), 0)
	}},
}

// changing is a page of many representations, each with a tag, a size and a text of its own.
type changing struct {
	path    string
	weak    string // what its tags begin with
	floor   atomic.Int64
	vary    bool
	size    int
	version atomic.Int64
}

func (c *changing) text(version int64) string {
	return long(fmt.Sprint(c.path, version), c.size+int(version%7))
}

// ServeHTTP answers as a file server does, which breaks off, fails, changes the page or knows no Range or If-Range now
// and then.
func (c *changing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == "PUT" {
		v := c.version.Add(1)
		w.Header().Set("X-Version", fmt.Sprint(v))
		w.WriteHeader(204)
		return
	}
	v := c.version.Load()
	if c.vary {
		w.Header().Set("Vary", "X-Mode")
	}
	switch rand.IntN(20) {
	case 0:
		v = c.version.Add(1)
	case 1, 2:
		w = &breaking{w, rand.IntN(c.size)}
	case 3:
		r.Header.Del("Range")
	case 4:
		r.Header.Del("If-Range")
	case 5:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	set(w.Header(), []string{"Cache-Control", "max-age=1, stale-while-revalidate=1, stale-if-error=2", "ETag", fmt.Sprintf(`%s"%d"`, c.weak, v), "Content-Type", text})
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(c.text(v)))
}

// breaking hangs up after so many bytes.
type breaking struct {
	http.ResponseWriter
	left int
}

func (b *breaking) Write(p []byte) (int, error) {
	n, err := b.ResponseWriter.Write(p[:min(len(p), b.left)])
	if b.left -= n; b.left == 0 {
		b.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

func (t *T) partialCrowd() {
	seed := *stressSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.cache.Observe = nil
	t.origin.forgets = true
	pages := []*changing{{path: "/small", size: 100}, {path: "/large", size: 150_000}, {path: "/weak", size: 150_000, weak: "W/"}, {path: "/vary", size: 150_000, vary: true}}
	for _, p := range pages {
		t.origin.handle(p.path, p.ServeHTTP)
	}
	end := time.Now().Add(*stressTime)
	t.start(16, func(i int) answer {
		for random := rand.New(rand.NewPCG(seed, uint64(i))); time.Now().Before(end) && !t.Failed(); {
			t.oneForParts(random, pages[random.IntN(len(pages))])
		}
		return answer{}
	}).done()
	t.backgroundDone()
	if t.Failed() {
		t.Logf("to make the same choices again: -stress.seed=%d", seed)
	}
}

// oneForParts asks for something of the page and looks at what comes.
func (t *T) oneForParts(random *rand.Rand, page *changing) {
	n := random.IntN
	if n(10) == 0 {
		t.clock.advance(200 * time.Millisecond)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	options := []option{under(ctx)}
	if n(30) == 0 {
		a := t.try("PUT", page.path)
		if a.err == nil {
			v, _ := strconv.ParseInt(a.header.Get("X-Version"), 10, 64)
			for old := page.floor.Load(); old < v && !page.floor.CompareAndSwap(old, v); old = page.floor.Load() {
			}
		}
		return
	}
	floor := page.floor.Load()
	options = append(options, header("X-Mode", fmt.Sprint(n(3))))
	method, ranges := http.MethodGet, ""
	a, b := n(page.size), n(page.size)
	switch n(10) {
	case 0:
		method = http.MethodHead
	case 1, 2:
	case 3:
		ranges = fmt.Sprintf("bytes=-%d", 1+n(page.size))
	case 4:
		ranges = fmt.Sprintf("bytes=%d-", a)
	case 5:
		ranges = fmt.Sprintf("bytes=%d-%d,%d-", min(a, b)/2, min(a, b), max(a, b)+1)
	default:
		ranges = fmt.Sprintf("bytes=%d-%d", min(a, b), max(a, b))
	}
	if ranges != "" {
		options = append(options, header("Range", ranges))
		if n(5) == 0 {
			options = append(options, header("If-Range", fmt.Sprintf(`"%d"`, page.version.Load())))
		}
	}
	switch n(12) {
	case 0:
		options = append(options, mode(larder.ForceRefresh))
	case 1:
		options = append(options, header("Cache-Control", "no-cache"))
	case 2:
		options = append(options, mode(larder.PreferStored))
	case 3:
		options = append(options, header("If-None-Match", fmt.Sprintf(`"%d"`, page.version.Load())))
	}
	resp := t.send(method, page.path, options...)
	if resp.err != nil {
		return // it broke off
	}
	defer resp.resp.Body.Close()
	var r io.Reader = resp.resp.Body
	whole := n(4) > 0
	if !whole {
		r = io.LimitReader(r, int64(n(page.size)))
		if n(2) == 0 {
			defer cancel()
		}
	}
	body, err := io.ReadAll(r)
	whole = whole && err == nil
	version, bad := strconv.ParseInt(strings.Trim(resp.header.Get("ETag"), `W/"`), 10, 64)
	wrong := func(what string) {
		t.Errorf("%s %s %q: %v %d %q of %d bytes, read whole: %v: %s", method, page.path, ranges, resp.Outcome, resp.status, resp.header, len(body), whole, what)
	}
	switch resp.status {
	case http.StatusOK, http.StatusPartialContent:
		if bad != nil {
			wrong("it has no tag")
			return
		}
	case http.StatusNotModified, http.StatusServiceUnavailable:
		return
	case http.StatusRequestedRangeNotSatisfiable:
		return
	default:
		wrong("no such status was expected")
		return
	}
	if version < floor {
		wrong(fmt.Sprintf("it is version %d, and was invalidated by %d", version, floor))
	}
	want := page.text(version)
	if method == http.MethodHead {
		if resp.resp.ContentLength != int64(len(want)) {
			wrong("the length is wrong")
		}
		return
	}
	kind, params, _ := mime.ParseMediaType(resp.header.Get("Content-Type"))
	switch {
	case resp.status == http.StatusPartialContent && kind == "multipart/byteranges":
		parts := multipart.NewReader(strings.NewReader(string(body)), params["boundary"])
		for whole {
			p, err := parts.NextRawPart()
			if err == io.EOF {
				break
			}
			if err != nil {
				wrong(err.Error())
				return
			}
			b, err := io.ReadAll(p)
			if said := placed(p.Header.Get("Content-Range"), want); err != nil || string(b) != said {
				wrong("a part is wrong")
				return
			}
		}
		return
	case kind != "text/plain":
		wrong("the type is wrong")
	case resp.status == http.StatusPartialContent:
		want = placed(resp.header.Get("Content-Range"), want)
	}
	if ranges == "" && resp.status != http.StatusOK {
		wrong("nobody asked for a part")
	}
	if !strings.HasPrefix(want, string(body)) || whole && len(want) != len(body) || want == "" {
		wrong("the bytes are wrong")
	}
}

// placed returns what of whole a Content-Range means; "" if it is none of that size.
func placed(contentRange, whole string) string {
	var first, last, size int
	if n, _ := fmt.Sscanf(contentRange, "bytes %d-%d/%d", &first, &last, &size); n != 3 || size != len(whole) || first > last || last >= size {
		return ""
	}
	return whole[first : last+1]
}
