package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/larder/store"
)

const bodySize = 2*blockSize + 1000

// bodied is a record with a body in a file of its own. The clock stands still until it is at rest.
type bodied struct {
	*Store
	r       *store.Record
	content []byte
	path    string
}

func newBodied(t *testing.T) *bodied {
	t.Helper()
	s, _ := openTwo(t)
	b := &bodied{Store: s, content: make([]byte, bodySize)}
	for i := range b.content {
		b.content[i] = byte(rand.Uint32())
	}
	b.r = &store.Record{Key: "key", ID: store.NewID(time.Now()), Size: bodySize, Head: store.Head{Status: 200, Header: http.Header{}}}
	b.commit(t)
	return b
}

// commit stores the record, for the first time or again.
func (b *bodied) commit(t *testing.T) {
	t.Helper()
	w, err := b.Create(t.Context(), b.r)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Write(b.content); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(b.r); err != nil {
		t.Fatal(err)
	}
	if b.path == "" {
		p, err := b.place(b.r.Key, false)
		if err != nil {
			t.Fatal(err)
		}
		b.path = filepath.Join(p.fan.Name(), p.body(b.r.ID))
	}
}

// age puts the clock forward so that the last change of the file was so long ago.
func (b *bodied) age(t *testing.T, age time.Duration) {
	t.Helper()
	c, ok := changed(b.stat(t))
	if !ok {
		t.Skip("there is no ctime here: nothing is trusted")
	}
	time.Sleep(time.Until(c.Add(age)))
}

func (b *bodied) stat(t *testing.T) os.FileInfo {
	t.Helper()
	info, err := os.Stat(b.path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func (b *bodied) open(t *testing.T) *body {
	t.Helper()
	opened, err := b.Open(t.Context(), b.r)
	if err != nil {
		t.Fatal(err)
	}
	return opened.(*body)
}

// read reads the body to its end and says whether it was trusted.
func (b *bodied) read(t *testing.T) (trusted bool, err error) {
	t.Helper()
	opened, err := b.Open(t.Context(), b.r)
	if err != nil {
		return false, err
	}
	defer opened.Close()
	got, err := io.ReadAll(opened)
	if !bytes.HasPrefix(b.content, got) || err == nil && len(got) != len(b.content) {
		t.Errorf("wrong bytes: %d of %d", len(got), len(b.content))
	}
	return opened.(*body).bare, err
}

func (b *bodied) verify(t *testing.T) {
	t.Helper()
	b.age(t, 2*atRest)
	for _, want := range []bool{false, true} {
		if trusted, err := b.read(t); trusted != want || err != nil {
			t.Fatalf("trusted is %v, want %v; %v", trusted, want, err)
		}
	}
}

// tick waits until the clock of the file system has gone on since the last change of the body, for which the clock of
// this test cannot speak.
func (b *bodied) tick(t *testing.T) {
	t.Helper()
	last, _ := changed(b.stat(t))
	for range 1_000_000 {
		f, err := os.CreateTemp(b.dir, "")
		if err != nil {
			t.Fatal(err)
		}
		info, err := f.Stat()
		f.Close()
		os.Remove(f.Name())
		if c, _ := changed(info); err != nil || c.After(last) {
			return
		}
	}
	t.Fatal("the clock of the file system stands still")
}

func TestABodyIsTrustedOnlyIfItWasVerifiedAtRest(t *testing.T) {
	for _, c := range []struct {
		name    string
		age     time.Duration // of the last change when the body is verified
		trusted bool
	}{
		{"changed just now", 0, false},
		{"changed a second ago, which a coarse clock may take for now", time.Second, false},
		{"at rest", 4 * time.Second, true},
		{"at rest for a year", 365 * 24 * time.Hour, true},
		{"changed in the future", -time.Minute, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBodied(t)
				b.age(t, c.age)
				for _, want := range []bool{false, c.trusted} {
					if trusted, err := b.read(t); trusted != want || err != nil {
						t.Errorf("trusted is %v, want %v; %v", trusted, want, err)
					}
				}
			})
		})
	}
}

func TestABodyIsTrustedOnlyIfAllOfItWasVerified(t *testing.T) {
	for _, c := range []struct {
		name    string
		offsets []int64 // of a byte that is read
		trusted bool
	}{
		{"the first block", []int64{0}, false},
		{"the last block", []int64{2 * blockSize}, false},
		{"all but the second", []int64{0, 2 * blockSize, 0}, false},
		{"all, the other way round", []int64{2 * blockSize, blockSize, 0}, false}, // it could be, but who reads like that?
		{"all", []int64{0, blockSize, 2 * blockSize}, true},
		{"all, with a jump", []int64{0, 2 * blockSize, blockSize, 2 * blockSize}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBodied(t)
				b.age(t, 2*atRest)
				body := b.open(t)
				defer body.Close()
				for _, off := range c.offsets {
					if _, err := body.Seek(off, io.SeekStart); err != nil {
						t.Fatal(err)
					}
					if _, err := body.Read(make([]byte, 1)); err != nil {
						t.Fatal(err)
					}
				}
				if trusted, err := b.read(t); trusted != c.trusted || err != nil {
					t.Errorf("trusted is %v, want %v; %v", trusted, c.trusted, err)
				}
			})
		})
	}
}

// alter changes one byte of a file.
func alter(path string, at int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		return err
	}
	b[0] ^= 0x10
	_, err = f.WriteAt(b[:], at)
	return err
}

func TestAnAlteredByteOfATrustedBodyIsDamage(t *testing.T) {
	t.Parallel()
	setBack := func(path string, info os.FileInfo) error { return os.Chtimes(path, info.ModTime(), info.ModTime()) }
	for _, c := range []struct {
		name  string
		alter func(path string, at int64, before os.FileInfo) error
	}{
		{"by a write", func(path string, at int64, _ os.FileInfo) error { return alter(path, at) }},
		{"by a write, the modification time set back", func(path string, at int64, before os.FileInfo) error {
			return errors.Join(alter(path, at), setBack(path, before))
		}},
		{"by another file in its place, of the same time", func(path string, at int64, before os.FileInfo) error {
			whole, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			other := path + ".other"
			return errors.Join(os.WriteFile(other, whole, 0o600), alter(other, at), os.Rename(other, path), setBack(path, before))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBodied(t)
				places := []int64{0, 1, blockSize - 1, blockSize, blockSize + 1, 2*blockSize + 500, bodySize - 1}
				for at := int64(bodySize); at < fileSize(bodySize); at++ { // all of the checksums and the footer
					places = append(places, at)
				}
				for _, at := range places {
					b.verify(t)
					b.tick(t)
					if err := c.alter(b.path, at, b.stat(t)); err != nil {
						t.Fatal(err)
					}
					if trusted, err := b.read(t); trusted || !errors.Is(err, store.ErrCorrupt) {
						t.Fatalf("byte %d: trusted is %v, %v", at, trusted, err)
					}
					if found, err := b.Lookup(t.Context(), b.r.Key); len(found) != 0 || err != nil {
						t.Fatalf("byte %d: not removed: %v, %v", at, found, err)
					}
					if n := len(b.bodies.of); n != 0 {
						t.Fatalf("byte %d: %d bodies are remembered", at, n)
					}
					b.commit(t)
				}
			})
		})
	}
}

func TestABodyIsTrustedForAnHourAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBodied(t)
		b.verify(t)
		// The body changes and the file system does not know.
		b.content[5] ^= 1
		f, err := os.OpenFile(b.path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(b.content[:10], 0); err != nil {
			t.Fatal(err)
		}
		f.Close()
		name := filepath.Base(b.path)
		known := b.bodies.of[name]
		known.info = b.stat(t)
		b.bodies.of[name] = known

		time.Sleep(trustedFor - time.Second)
		if trusted, err := b.read(t); !trusted || err != nil {
			t.Errorf("within the hour: trusted is %v, %v", trusted, err)
		}
		time.Sleep(2 * time.Second)
		if trusted, err := b.read(t); trusted || !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("after it: trusted is %v, %v", trusted, err)
		}
	})
}

func TestATrustedBodyReadsTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBodied(t)
		b.verify(t)
		for _, size := range []int{1000, blockSize, bodySize, 2 * bodySize} {
			for _, off := range []int64{0, 1, blockSize - 1, blockSize, bodySize - 1, bodySize, bodySize + 1} {
				want := b.content[min(off, bodySize):]
				body := b.open(t)
				if n, err := body.Seek(off, io.SeekStart); n != off || err != nil {
					t.Fatal(n, err)
				}
				got, err := io.ReadAll(struct{ io.Reader }{readsOf{body, size}})
				if !bytes.Equal(got, want) || err != nil {
					t.Errorf("from %d by %d: %d bytes, %v; want %d", off, size, len(got), err, len(want))
				}
				if n, err := body.Read(make([]byte, 1)); n != 0 || err != io.EOF {
					t.Errorf("at the end: %d, %v", n, err)
				}
				fewBytes := func(when string) {
					body.Seek(1, io.SeekStart)
					got := make([]byte, 10)
					if _, err := io.ReadFull(body, got); !bytes.Equal(got, b.content[1:11]) || err != nil {
						t.Errorf("a few bytes %s from %d: %x, %v", when, off, got, err)
					}
				}
				fewBytes("before WriteTo")
				var out bytes.Buffer
				body.Seek(off, io.SeekStart)
				n, err := body.WriteTo(struct{ io.Writer }{&out})
				if n != int64(len(want)) || !bytes.Equal(out.Bytes(), want) || err != nil {
					t.Errorf("WriteTo from %d: %d bytes, %v; want %d", off, n, err, len(want))
				}
				fewBytes("after WriteTo")
				body.Close()
			}
		}
	})
}

// readsOf reads so many bytes at a time.
type readsOf struct {
	r    io.Reader
	size int
}

func (r readsOf) Read(p []byte) (int, error) { return r.r.Read(p[:min(len(p), r.size)]) }

// A socket and a file get to see the bare file, so that the system copies it.
func TestATrustedBodyIsCopiedAsAFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBodied(t)
		b.verify(t)
		body := b.open(t)
		defer body.Close()
		if _, err := body.Seek(500, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		var to fromFile
		if n, err := io.Copy(&to, body); n != bodySize-500 || err != nil {
			t.Errorf("copied %d bytes, %v; want %d", n, err, bodySize-500)
		}
		if !to.file || !bytes.Equal(to.Bytes(), b.content[500:]) {
			t.Errorf("from a file: %v; %d bytes", to.file, to.Len())
		}
	})
}

// A caller who leaves is no damage.
func TestATrustedBodyThatCannotBePassedOnStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBodied(t)
		b.verify(t)
		body := b.open(t)
		defer body.Close()
		to, from := io.Pipe()
		to.Close()
		if n, err := io.Copy(from, body); n != 0 || !errors.Is(err, io.ErrClosedPipe) || errors.Is(err, store.ErrCorrupt) {
			t.Errorf("copied %d bytes, %v", n, err)
		}
		if trusted, err := b.read(t); !trusted || err != nil {
			t.Errorf("after that: trusted is %v, %v", trusted, err)
		}
	})
}

// fromFile finds out as package net does whether what it reads from is a file.
type fromFile struct {
	bytes.Buffer
	file bool
}

func (f *fromFile) ReadFrom(r io.Reader) (int64, error) {
	if l, ok := r.(*io.LimitedReader); ok {
		_, f.file = l.R.(*os.File)
	}
	return f.Buffer.ReadFrom(r)
}

func TestATrustedBodyThatIsCutWhileItIsReadIsDamage(t *testing.T) {
	for name, read := range map[string]func(*body) error{
		"Read":    func(b *body) error { _, err := io.Copy(io.Discard, struct{ io.Reader }{b}); return err },
		"WriteTo": func(b *body) error { _, err := b.WriteTo(io.Discard); return err },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBodied(t)
				b.verify(t)
				body := b.open(t)
				defer body.Close()
				if err := os.Truncate(b.path, blockSize); err != nil {
					t.Fatal(err)
				}
				if err := read(body); !errors.Is(err, store.ErrCorrupt) {
					t.Errorf("read: %v", err)
				}
				if found, err := b.Lookup(t.Context(), b.r.Key); len(found) != 0 || err != nil {
					t.Errorf("not removed: %v, %v", found, err)
				}
			})
		})
	}
}

func TestWhatIsTrustedIsBounded(t *testing.T) {
	info, err := os.Stat(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c, ok := changed(info)
	if !ok {
		t.Skip("there is no ctime here: nothing is trusted")
	}
	var known trusted[int]
	for i := range 250 {
		for range 2 {
			known.put(fmt.Sprint(i), state{info, c.Add(time.Hour)}, i, 100)
		}
	}
	if n := len(known.of); n != 100 {
		t.Errorf("%d files are remembered, want 100", n)
	}
}

// A small record is decoded once, and every change of its files is seen by the next Lookup.
func TestAHeadIsKnownUntilItChanges(t *testing.T) {
	t.Parallel()
	put := func(t *testing.T, s *Store, old ...store.ID) *store.Record {
		return put(t, s, "key", old...)
	}
	for _, c := range []struct {
		name    string
		updated bool // so that what counts is in the folder
		change  func(t *testing.T, s *Store, r *store.Record) (want []*store.Record)
	}{
		{"superseded", false, func(t *testing.T, s *Store, r *store.Record) []*store.Record {
			return []*store.Record{put(t, s, r.ID)}
		}},
		{"superseded", true, func(t *testing.T, s *Store, r *store.Record) []*store.Record {
			return []*store.Record{put(t, s, r.ID)}
		}},
		{"deleted", false, func(t *testing.T, s *Store, r *store.Record) []*store.Record {
			s.Delete(t.Context(), "key")
			return nil
		}},
		{"deleted", true, func(t *testing.T, s *Store, r *store.Record) []*store.Record {
			s.Delete(t.Context(), "key", r.ID)
			return nil
		}},
		{"deleted and stored anew", false, func(t *testing.T, s *Store, r *store.Record) []*store.Record {
			s.Delete(t.Context(), "key")
			return []*store.Record{put(t, s)}
		}},
		{"updated", false, func(t *testing.T, s *Store, r *store.Record) []*store.Record {
			u := r.Clone()
			u.Status = 299
			s.Update(t.Context(), u)
			return []*store.Record{u}
		}},
		{"updated", true, func(t *testing.T, s *Store, r *store.Record) []*store.Record {
			u := r.Clone()
			u.Status = 298
			s.Update(t.Context(), u)
			return []*store.Record{u}
		}},
	} {
		t.Run(fmt.Sprintf("%s, updated before: %v", c.name, c.updated), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, other := openTwo(t)
				r := put(t, s)
				path := filepath.Join(placeOf(t, s, "key").fan.Name(), placeOf(t, s, "key").first())
				if c.updated {
					r = r.Clone()
					r.Status = 222
					if err := other.Update(t.Context(), r); err != nil {
						t.Fatal(err)
					}
				}
				know(t, s, path, r)
				want := c.change(t, other, r)
				if got := seenBy(t, s, "key"); !slices.Equal(got, states(want...)) {
					t.Errorf("found %v, want %v", got, states(want...))
				}
			})
		})
	}
}

// know looks r up when its files are at rest, and again, when it has to be known.
func know(t *testing.T, s *Store, path string, r *store.Record) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	c, ok := changed(info)
	if !ok {
		t.Skip("there is no ctime here: nothing is trusted")
	}
	time.Sleep(time.Until(c.Add(2 * atRest)))
	var last *store.Record
	for range 3 {
		found, err := s.Lookup(t.Context(), r.Key)
		if err != nil || !slices.Equal(states(found...), states(r)) {
			t.Fatal(states(found...), err)
		}
		if last != nil && last != found[0] {
			t.Error("decoded again")
		}
		last = found[0]
	}
}

func TestAnAlteredByteOfAKnownHeadIsDamage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := openTwo(t)
		b := &bodied{Store: s, path: filepath.Join(placeOf(t, s, "key").fan.Name(), placeOf(t, s, "key").first())}
		for at := 0; ; at += 3 {
			know(t, s, b.path, put(t, s, "key"))
			b.tick(t)
			before := b.stat(t)
			if int64(at) >= before.Size() {
				break
			}
			if err := errors.Join(alter(b.path, int64(at)), os.Chtimes(b.path, before.ModTime(), before.ModTime())); err != nil {
				t.Fatal(err)
			}
			if found, err := s.Lookup(t.Context(), "key"); len(found) != 0 || !errors.Is(err, store.ErrCorrupt) {
				t.Fatalf("byte %d: %v, %v", at, found, err)
			}
			if found, err := s.Lookup(t.Context(), "key"); len(found) != 0 || err != nil {
				t.Fatalf("byte %d: not removed: %v, %v", at, found, err)
			}
		}
	})
}
