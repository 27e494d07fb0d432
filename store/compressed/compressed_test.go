package compressed

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/memory"
)

func TestWhatIsPacked(t *testing.T) {
	json := "application/json; charset=utf-8"
	for _, c := range []struct {
		name   string
		header http.Header
		body   []byte
		packed bool
	}{
		{"JSON", http.Header{"Content-Type": {json}}, document(50_000), true},
		{"no type", http.Header{}, document(50_000), true},
		{"SVG", http.Header{"Content-Type": {"image/svg+xml"}}, document(50_000), true},
		{"WAV", http.Header{"Content-Type": {"audio/wav"}}, document(50_000), true},
		{"identity", http.Header{"Content-Encoding": {"identity"}}, document(50_000), true},
		{"of 1 KiB", http.Header{"Content-Type": {json}}, document(minSize), true},
		{"of several frames", http.Header{"Content-Type": {json}}, document(1_000_000), true},
		{"text, then noise", http.Header{"Content-Type": {json}}, slices.Concat(document(frameSize), noise(frameSize)), true},

		{"gzip", http.Header{"Content-Type": {json}, "Content-Encoding": {"gzip"}}, document(50_000), false},
		{"two codings", http.Header{"Content-Encoding": {"identity", "br"}}, document(50_000), false},
		{"JPEG", http.Header{"Content-Type": {"image/jpeg"}}, document(50_000), false},
		{"JPEG in capitals", http.Header{"Content-Type": {"IMAGE/JPEG;a=b"}}, document(50_000), false},
		{"video", http.Header{"Content-Type": {"video/mp4"}}, document(50_000), false},
		{"zip", http.Header{"Content-Type": {"application/zip"}}, document(50_000), false},
		{"EPUB", http.Header{"Content-Type": {"application/epub+zip"}}, document(50_000), false},
		{"DOCX", http.Header{"Content-Type": {"application/vnd.openxmlformats-officedocument.wordprocessingml.document"}}, document(50_000), false},
		{"WOFF2", http.Header{"Content-Type": {"font/woff2"}}, document(50_000), false},
		{"noise", http.Header{"Content-Type": {json}}, noise(50_000), false},
		{"noise of several frames", http.Header{"Content-Type": {json}}, noise(1_000_000), false},
		{"noise, then text", http.Header{"Content-Type": {json}}, slices.Concat(noise(frameSize), document(frameSize)), false},
		{"of less than 1 KiB", http.Header{"Content-Type": {json}}, document(minSize - 1), false},
		{"of one byte", http.Header{"Content-Type": {json}}, []byte("1"), false},
		{"empty", http.Header{"Content-Type": {json}}, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, hint := range []int64{int64(len(c.body)), -1} {
				inner := new(memory.Store)
				s := New(inner)
				r := record("")
				r.Header = c.header
				put(t, s, r, c.body, hint)
				in := only(t, inner, r.Key)
				if packed := in.Header[indexField] != nil; packed != c.packed {
					t.Errorf("packed: %v, want %v", packed, c.packed)
				}
				if !c.packed {
					wantWhole(t, inner, r, c.body) // as if there were nothing in between
				} else if in.Size > int64(len(c.body))*9/10 {
					t.Errorf("%d bytes for %d", in.Size, len(c.body))
				}
				wantWhole(t, s, r, c.body)
			}
		})
	}
}

// What the inner store holds is zstd as anybody reads it, and says all else in the clear.
func TestInnerRecord(t *testing.T) {
	body := document(3*frameSize + 100)
	inner := openDisk(t)
	s := New(inner)
	r := put(t, s, record("text/plain"), body, -1)
	in := only(t, inner, r.Key)
	packed, err := readAll(inner, in)
	must(t, err)
	z, err := zstd.NewReader(bytes.NewReader(packed))
	must(t, err)
	defer z.Close()
	if got, err := io.ReadAll(z); err != nil || !bytes.Equal(got, body) {
		t.Errorf("the inner body unpacks to %d bytes, %v", len(got), err)
	}
	in = in.Clone()
	in.Header = http.Header{"Content-Type": in.Header["Content-Type"], "Etag": in.Header["Etag"]}
	in.Size = r.Size
	if !same(in, r) {
		t.Errorf("the inner record differs in more than the index and the size: %+v", in)
	}
	if ratio := float64(len(body)) / float64(len(packed)); ratio < 2 {
		t.Errorf("%d bytes for %d: %.1f", len(packed), len(body), ratio)
	}
}

func TestWhatWasThereBeforeIsRead(t *testing.T) {
	for _, size := range []int{0, 100, 100_000} {
		inner := openDisk(t)
		r := put(t, inner, record("text/plain"), document(size), int64(size))
		s := New(inner)
		wantWhole(t, s, r, document(size))
		u := r.Clone()
		u.Status, u.Size = 203, 7
		must(t, s.Update(ctx, u))
		u.Size = r.Size
		wantWhole(t, s, u, document(size))
		wantWhole(t, inner, u, document(size))
	}
}

// An origin can say what it wants.
func TestAFieldOfTheSameNameIsKept(t *testing.T) {
	for _, body := range [][]byte{nil, document(100), document(100_000), noise(100_000)} {
		for _, values := range [][]string{{"\x01\x05\x05"}, {""}, {"", "a"}, {"a", ""}} {
			for _, inner := range []store.Store{new(memory.Store), openDisk(t)} {
				s := New(inner)
				r := record("text/plain")
				r.Header[indexField] = values
				put(t, s, r, body, -1)
				wantWhole(t, s, r, body)
				must(t, s.Update(ctx, r))
				wantWhole(t, s, r, body)
			}
		}
	}
}

func TestUpdateMayChangeTheType(t *testing.T) {
	for _, types := range [][]string{{"text/plain", "image/png"}, {"image/png", "text/plain"}} {
		inner := openDisk(t)
		s := New(inner)
		body := document(2*frameSize + 5)
		r := put(t, s, record(types[0]), body, -1).Clone()
		r.Header = http.Header{"Content-Type": {types[1]}, "Content-Encoding": {"gzip"}}
		must(t, s.Update(ctx, r))
		wantWhole(t, s, r, body)
	}
}

// counting counts the bytes that are read from bodies.
type counting struct {
	store.Store
	read *int
}

func (c counting) Open(ctx context.Context, r *store.Record) (io.ReadSeekCloser, error) {
	b, err := c.Store.Open(ctx, r)
	return countingReader{b, c.read}, err
}

type countingReader struct {
	io.ReadSeekCloser
	read *int
}

func (c countingReader) Read(p []byte) (int, error) {
	n, err := c.ReadSeekCloser.Read(p)
	*c.read += n
	return n, err
}

func TestSeekReadsTheFramesThatItNeeds(t *testing.T) {
	body := document(9*frameSize + 1000)
	read := 0
	s := New(counting{openDisk(t), &read})
	r := put(t, s, record("text/plain"), body, -1)
	b, err := s.Open(ctx, only(t, s, r.Key))
	must(t, err)
	defer b.Close()
	for _, c := range []struct {
		off, length int64
		frames      int
	}{
		{0, 10, 1}, {10, 10, 0}, {9 * frameSize, 1000, 1}, {9*frameSize + 5, 10, 0}, {5 * frameSize, frameSize, 1}, {6*frameSize - 5, 10, 1},
		{7*frameSize + 1, frameSize, 2}, {3, 7, 1},
	} {
		read = 0
		_, err := b.Seek(c.off, io.SeekStart)
		must(t, err)
		got := make([]byte, c.length)
		_, err = io.ReadFull(b, got)
		must(t, err)
		if !bytes.Equal(got, body[c.off:c.off+c.length]) {
			t.Errorf("%d bytes at %d are not those of the body", c.length, c.off)
		}
		if most := c.frames * frameSize / 2; read > most || (read == 0) != (c.frames == 0) {
			t.Errorf("%d bytes at %d: %d packed bytes read, want those of %d frames", c.length, c.off, read, c.frames)
		}
	}
}

// indexFor encodes an index of one's own making.
func indexFor(size uint64, frames ...uint64) string {
	b := binary.AppendUvarint([]byte{indexVersion}, size)
	for _, n := range frames {
		b = binary.AppendUvarint(b, n)
	}
	return string(b)
}

// What cannot be unpacked, or unpacks to something else, is damage, and costs no more memory than a frame.
func TestDamage(t *testing.T) {
	const size = 2*frameSize + 1000
	c := newCoder()
	body := document(size)
	var frames [][]byte
	for p := range slices.Chunk(body, frameSize) {
		frames = append(frames, c.pack(nil, p))
	}
	all := slices.Concat(frames...)
	lengths := []uint64{uint64(len(frames[0])), uint64(len(frames[1])), uint64(len(frames[2]))}
	bomb := c.pack(nil, make([]byte, 64<<20))
	altered := bytes.Clone(all)
	altered[len(frames[0])+len(frames[1])/2] ^= 1
	small := c.pack(nil, document(2000))
	for _, x := range []struct {
		name  string
		index string
		body  []byte
		right int // bytes that may be read before the damage
	}{
		{"sound", indexFor(size, lengths...), all, size},
		{"no index", "\x01", all, 0},
		{"another version", "\x02" + indexFor(size, lengths...)[1:], all, 0},
		{"an empty body", indexFor(0), nil, 0},
		{"a size without end", "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", all, 0},
		{"a size beyond all frames", indexFor(1<<62, lengths...), all, 0},
		{"a frame too few", indexFor(size, lengths[:2]...), all, 0},
		{"a frame too many", indexFor(size, append(slices.Clone(lengths), 0)...), all, 0},
		{"a frame of nothing", indexFor(size, lengths[0], 0, lengths[1]+lengths[2]), all, 0},
		{"a frame too long", indexFor(frameSize, 1<<40), all, 0},
		{"a frame longer than any", indexFor(frameSize, 300<<10), noise(300 << 10), 0},
		{"a sum too small", indexFor(size, lengths[0], lengths[1], lengths[2]-1), all, 0},
		{"a smaller size", indexFor(size-1, lengths...), all, 2 * frameSize},
		{"a larger size", indexFor(size+1, lengths...), all, 2 * frameSize},
		{"other bounds", indexFor(size, lengths[0]+1, lengths[1]-1, lengths[2]), all, 0},
		{"an altered frame", indexFor(size, lengths...), altered, frameSize},
		{"frames swapped", indexFor(size, lengths[0], lengths[2], lengths[1]), slices.Concat(frames[0], frames[2], frames[1]), frameSize},
		{"noise", indexFor(size, lengths...), noise(len(all)), 0},
		{"two frames as one", indexFor(frameSize, uint64(2*len(small))), slices.Concat(small, small), 0},
		{"a bomb beside its head", indexFor(2000, uint64(len(bomb))), bomb, 0},
		{"a bomb in frames", indexFor(size, uint64(len(bomb)), 1, 1), slices.Concat(bomb, []byte("ab")), 0},
	} {
		t.Run(x.name, func(t *testing.T) {
			for _, inner := range []store.Store{new(memory.Store), openDisk(t)} {
				s := New(inner)
				in := record("text/plain")
				in.Header = addIndex(in.Header, x.index)
				forge(t, inner, in, x.body)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				got, err := func() ([]byte, error) {
					found, err := s.Lookup(ctx, in.Key)
					if len(found) == 0 || err != nil {
						return nil, err
					}
					return readAll(s, found[0])
				}()
				runtime.ReadMemStats(&after)
				if x.name == "sound" {
					if !bytes.Equal(got, body) || err != nil {
						t.Errorf("%d bytes, %v", len(got), err)
					}
					continue
				}
				if !errors.Is(err, store.ErrCorrupt) || !bytes.Equal(got, body[:x.right]) {
					t.Errorf("%T: %d bytes, %v; want ErrCorrupt after %d", inner, len(got), err, x.right)
				}
				if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20 {
					t.Errorf("%T: %d bytes allocated", inner, n)
				}
				if found, err := s.Lookup(ctx, in.Key); len(found) > 0 || err != nil {
					t.Errorf("%T: it is not removed: %v, %v", inner, found, err)
				}
			}
		})
	}
}

func TestFindReportsDamage(t *testing.T) {
	inner := new(memory.Store)
	s := New(inner)
	good := put(t, s, record("text/plain"), document(10_000), -1)
	bad := record("text/plain")
	bad.Header = addIndex(bad.Header, "\x01\x05")
	forge(t, inner, bad, []byte("hello"))
	found, damaged := 0, 0
	for r, err := range s.Find(ctx, store.Query{Filter: func(r *store.Record) bool { return r.Size == 10_000 && r.Header[indexField] == nil }}) {
		switch {
		case errors.Is(err, store.ErrCorrupt) && r == nil:
			damaged++
		case err != nil || r.ID != good.ID:
			t.Errorf("Find: %v, %v", r, err)
		default:
			found++
		}
	}
	if found != 1 || damaged != 1 {
		t.Errorf("Find: %d records, %d damaged; want 1 and 1", found, damaged)
	}
	if found, err := inner.Lookup(ctx, bad.Key); len(found) > 0 || err != nil {
		t.Errorf("it is not removed: %v, %v", found, err)
	}
}

// Others may use the inner store, too: what they derive from its records is not taken for ours.
func TestDerivedByAnother(t *testing.T) {
	inner := new(memory.Store)
	s := New(inner)
	r := put(t, s, record("text/plain"), document(10_000), -1)
	only(t, inner, r.Key).Derived(func(*store.Record) any { return io.EOF })
	wantWhole(t, s, r, document(10_000))
}

func TestExampleInTheDocumentation(t *testing.T) {
	doc, err := os.ReadFile("../../docs/format-compressed.md")
	must(t, err)
	var digits strings.Builder
	for _, row := range regexp.MustCompile(`(?m)^    ((?:[0-9a-f]{2} )+) *\|`).FindAllSubmatch(doc, -1) {
		digits.WriteString(strings.ReplaceAll(string(row[1]), " ", ""))
	}
	b, err := hex.DecodeString(digits.String())
	must(t, err)
	x, err := decodeIndex(string(b), 74024)
	if err != nil || x.size != 262149 || !slices.Equal(x.ends, []int64{74006, 74024}) {
		t.Errorf("the example says %+v, %v", x, err)
	}
	if x != nil && x.encode() != string(b) {
		t.Errorf("the example is written as % x", x.encode())
	}
}

// alone returns its records beside an error, as tiered.Store does while its back fails.
type alone struct{ store.Store }

func (s alone) Lookup(ctx context.Context, key store.Key) ([]*store.Record, error) {
	found, _ := s.Store.Lookup(ctx, key)
	return found, io.ErrClosedPipe
}

func TestWhatComesBesideAnErrorIsPassedOn(t *testing.T) {
	s := New(alone{new(memory.Store)})
	r := put(t, s, record("text/plain"), document(10_000), 10_000)
	found, err := s.Lookup(ctx, r.Key)
	if !errors.Is(err, io.ErrClosedPipe) || len(found) != 1 || !bytes.Equal(found[0].Body, document(10_000)) {
		t.Errorf("Lookup: %d records, %v; want the one, unpacked, and the error", len(found), err)
	}
}

// A program that does without it is given no packed body: it asks the origin, and what it stores is read by both.
func TestNobodyIsGivenWhatIsPacked(t *testing.T) {
	body := document(100_000)
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Cache-Control", "max-age=60")
		w.Write(body)
	}))
	defer origin.Close()
	inner := new(memory.Store)
	get := func(s store.Store, want larder.Outcome) {
		t.Helper()
		resp, err := (&larder.Cache{Store: s}).Client().Get(origin.URL)
		must(t, err)
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		must(t, err)
		if outcome := larder.Info(resp).Outcome; outcome != want || !bytes.Equal(got, body) {
			t.Errorf("got %v, %d bytes, want %v, %d bytes", outcome, len(got), want, len(body))
		}
	}
	get(New(inner), larder.Miss)
	get(New(inner), larder.Hit)
	get(inner, larder.Miss)
	get(inner, larder.Hit)
	get(New(inner), larder.Hit)
}
