package larder_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/disk"
)

// damagedBody is a body of ten blocks, of which the sixth does not verify any more, in a cache before an origin that
// still has it.
type damagedBody struct {
	content []byte
	etag    atomic.Value // string
	parts   atomic.Bool  // the origin answers requests for parts
	asked   atomic.Int64
	held    chan struct{} // closed when the origin is asked for the rest, which it does not give whole then; nil: it does
	begun   bool          // of that it gives the head and ten bytes
	server  *httptest.Server
	cache   *larder.Cache
	dir     string
}

const damagedAt = 5<<15 + 100

func newDamagedBody(t *testing.T) *damagedBody {
	d := &damagedBody{content: make([]byte, 10<<15), dir: t.TempDir()}
	random := rand.NewChaCha8([32]byte{1})
	random.Read(d.content)
	d.etag.Store(`"1"`)
	d.parts.Store(true)
	d.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if d.asked.Add(1) > 1 && d.held != nil {
			if d.begun {
				w.Header().Set("Etag", d.etag.Load().(string))
				w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", 5<<15, len(d.content)-1, len(d.content)))
				w.WriteHeader(http.StatusPartialContent)
				w.Write(d.content[5<<15:][:10])
				http.NewResponseController(w).Flush()
			}
			close(d.held)
			<-req.Context().Done()
			return
		}
		w.Header().Set("Cache-Control", "max-age=600")
		if tag := d.etag.Load().(string); tag != "" {
			w.Header().Set("Etag", tag)
		}
		if !d.parts.Load() {
			req.Header.Del("Range")
		}
		http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(d.content))
	}))
	t.Cleanup(d.server.Close)
	return d
}

// store fetches the body into the cache and damages it there.
func (d *damagedBody) store(t *testing.T) {
	t.Helper()
	s, err := disk.Open(d.dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	d.cache = &larder.Cache{Store: s}
	t.Cleanup(func() {
		if err := errors.Join(d.cache.Close(context.Background()), s.Close()); err != nil {
			t.Error(err)
		}
	})
	if body, err := d.get(context.Background(), nil, io.ReadAll); err != nil || !bytes.Equal(body, d.content) {
		t.Fatal(len(body), err)
	}
	files, err := filepath.Glob(filepath.Join(d.dir, "v1", "*", "*.body"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	f, err := os.OpenFile(files[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{d.content[damagedAt] ^ 1}, damagedAt); err != nil {
		t.Fatal(err)
	}
}

func (d *damagedBody) get(ctx context.Context, header http.Header, read func(io.Reader) ([]byte, error)) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.server.URL, nil)
	if err != nil {
		return nil, err
	}
	req.Header = header
	resp, err := d.cache.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return read(resp.Body)
}

func byCopy(r io.Reader) ([]byte, error) {
	var b bytes.Buffer
	_, err := io.Copy(&b, r)
	return b.Bytes(), err
}

// A body that is damaged in the middle is told by the origin from there on, if it still has the same one; else it
// breaks off.
func TestDamagedBodyGoesOnFromTheOrigin(t *testing.T) {
	whole := func(b []byte) []byte { return b }
	for _, test := range []struct {
		name   string
		before func(*damagedBody) // it is stored
		after  func(*damagedBody)
		header http.Header
		mode   larder.Mode
		want   func([]byte) []byte // nil: it breaks off
		asked  int64               // for the rest
	}{
		{name: "in parts", want: whole, asked: 1},
		{name: "whole, which is passed over up to there", after: func(d *damagedBody) { d.parts.Store(false) }, want: whole, asked: 1},
		{name: "a range", header: http.Header{"Range": {"bytes=1000-300000"}}, want: func(b []byte) []byte { return b[1000:300001] }, asked: 1},
		{name: "a range before the damage", header: http.Header{"Range": {"bytes=0-99"}}, want: func(b []byte) []byte { return b[:100] }},
		{name: "the caller's own condition, which is of the stored one", header: http.Header{"If-None-Match": {`"2"`}}, want: whole, asked: 1},
		{name: "another representation", after: func(d *damagedBody) { d.etag.Store(`"2"`) }, asked: 1},
		{name: "another representation, and no parts", after: func(d *damagedBody) { d.etag.Store(`"2"`); d.parts.Store(false) }, asked: 1},
		{name: "a weak validator", before: func(d *damagedBody) { d.etag.Store(`W/"1"`) }},
		{name: "no validator", before: func(d *damagedBody) { d.etag.Store("") }},
		{name: "several ranges", header: http.Header{"Range": {"bytes=0-9,170000-170009"}}},
		{name: "offline", mode: larder.Offline},
		{name: "only-if-cached", header: http.Header{"Cache-Control": {"only-if-cached"}}},
	} {
		for how, read := range map[string]func(io.Reader) ([]byte, error){"read": io.ReadAll, "copied": byCopy} {
			t.Run(test.name+"/"+how, func(t *testing.T) {
				d := newDamagedBody(t)
				if test.before != nil {
					test.before(d)
				}
				d.store(t)
				if test.after != nil {
					test.after(d)
				}
				got, err := d.get(larder.WithMode(context.Background(), test.mode), test.header, read)
				switch {
				case test.want != nil && err != nil:
					t.Error(err)
				case test.want != nil && !bytes.Equal(got, test.want(d.content)):
					t.Errorf("%d bytes, which are not those wanted", len(got))
				case test.want == nil && !errors.Is(err, store.ErrCorrupt):
					t.Errorf("the error is %v, want one that wraps store.ErrCorrupt", err)
				case test.want == nil && test.header["Range"] == nil && !bytes.Equal(got, d.content[:5<<15]):
					t.Errorf("%d bytes before the error, want those that verify", len(got))
				}
				if asked := d.asked.Load() - 1; asked != test.asked {
					t.Errorf("the origin was asked %d times for the rest, want %d", asked, test.asked)
				}
			})
		}
	}
}

// Close ends what waits for the origin, for its head or for more of the body.
func TestCloseEndsTheWaitForTheRest(t *testing.T) {
	for _, begun := range []bool{false, true} {
		d := newDamagedBody(t)
		d.held, d.begun = make(chan struct{}), begun
		d.store(t)
		_, err := d.get(context.Background(), nil, func(r io.Reader) ([]byte, error) {
			if _, err := io.ReadFull(r, make([]byte, 5<<15)); err != nil {
				return nil, err
			}
			ended := make(chan error)
			go func() {
				_, err := io.ReadFull(r, make([]byte, 11))
				ended <- err
			}()
			<-d.held
			r.(io.Closer).Close()
			return nil, <-ended
		})
		if err == nil {
			t.Errorf("begun %v: no error", begun)
		}
	}
}

// An origin that stands still is given up.
func TestTheRestMustNotStandStill(t *testing.T) {
	for _, begun := range []bool{false, true} {
		d := newDamagedBody(t)
		d.held, d.begun = make(chan struct{}), begun
		d.store(t)
		d.cache.RefreshTimeout = 50 * time.Millisecond
		got, err := d.get(context.Background(), nil, io.ReadAll)
		if want := d.content[:5<<15]; err == nil || !bytes.HasPrefix(got, want) || len(got) > len(want)+10 {
			t.Errorf("begun %v: %d bytes, %v", begun, len(got), err)
		}
	}
}

// failingWriter fails after some bytes.
type failingWriter struct{ left int }

var errFull = errors.New("full")

func (w *failingWriter) Write(p []byte) (int, error) {
	if len(p) > w.left {
		return w.left, errFull
	}
	w.left -= len(p)
	return len(p), nil
}

// What a writer has taken before it failed is not asked for again.
func TestTheRestAfterAFailedWrite(t *testing.T) {
	d := newDamagedBody(t)
	d.store(t)
	rest, err := d.get(context.Background(), nil, func(r io.Reader) ([]byte, error) {
		if _, err := io.Copy(&failingWriter{40_000}, r); !errors.Is(err, errFull) {
			t.Errorf("the error is %v", err)
		}
		return io.ReadAll(r)
	})
	// The block of which the writer took nothing has been read from the store, and is lost.
	if err != nil || !bytes.HasSuffix(d.content, rest) || len(rest) < 8<<15 {
		t.Errorf("%d bytes are not the end of the content, %v", len(rest), err)
	}
}
