package chunked_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/larder/internal/maptable"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/chunked"
)

func TestASmallHitIsOneCall(t *testing.T) {
	table := &watched{Table: new(maptable.Table)}
	s := chunked.New(table, nil)
	defer s.Close()
	for range 3 { // variants
		r, body := record("a", 1000)
		put(t, s, r, body)
	}
	found, err := s.Lookup(t.Context(), "a")
	if err != nil || len(found) != 3 || len(found[0].Body) != 1000 {
		t.Fatalf("Lookup: %d records, %v", len(found), err)
	}
	equal(t, "Gets", table.count("Get r"), 1)
	equal(t, "Gets of pieces", table.count("Get b"), 0)
}

func TestBodiesOfAFullChunk(t *testing.T) {
	for _, chunk := range []int{chunked.InlineMax, 2 * chunked.InlineMax} {
		for _, size := range []int{chunk - 1, chunk, chunk + 1, 2 * chunk} {
			s := chunked.New(new(maptable.Table), &chunked.Options{Chunk: chunk})
			r, want := record("a", size)
			put(t, s, r, want)
			found, err := s.Lookup(t.Context(), "a")
			if len(found) != 1 || err != nil {
				t.Fatalf("%d bytes in chunks of %d: %d records, %v", size, chunk, len(found), err)
			}
			b, err := s.Open(t.Context(), found[0])
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(b); !bytes.Equal(got, want) || err != nil {
				t.Errorf("%d bytes in chunks of %d: read %d, %v", size, chunk, len(got), err)
			}
			b.Close()
			s.Close()
		}
	}
}

func TestPiecesAreReadAheadAndSeveralAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &watched{Table: new(maptable.Table)}
		table.first(func(string, string, string) error { time.Sleep(time.Second); return nil }) // the way to a database
		s := chunked.New(table, &chunked.Options{Chunk: 64 << 10, Parallel: 4})
		defer s.Close()
		r, want := record("a", 2<<20) // 32 pieces

		began := time.Now()
		put(t, s, r, want)
		if took := time.Since(began); took > 12*time.Second {
			t.Errorf("32 pieces were put in %v, want 4 at once", took)
		}
		table.most = 0
		began = time.Now()
		b, err := s.Open(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(b)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("read %d bytes, %v", len(got), err)
		}
		if took := time.Since(began); took > 12*time.Second {
			t.Errorf("32 pieces were read in %v, want 5 at once", took)
		}
		if table.most > 5 {
			t.Errorf("%d pieces were read at once, want 5 at most: the one that is wanted and 4 ahead", table.most)
		}
		before := table.count("Get b")
		b.Seek(1<<20, io.SeekStart)
		if _, err := io.ReadFull(b, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		b.Close()
		equal(t, "Gets for a few bytes in the middle", table.count("Get b")-before, 1)
	})
}

// TestABodyThatIsDamagedGoes with its record, when somebody has come to the damage.
func TestABodyThatIsDamagedGoes(t *testing.T) {
	for what, spoil := range map[string]func(table *maptable.Table, group string) error{
		"altered": func(table *maptable.Table, group string) error {
			return table.Change(group, "00000002", func(b []byte) []byte { b[0] ^= 1; return b })
		},
		"gone": func(table *maptable.Table, group string) error {
			return table.Delete(context.Background(), group, "00000002")
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			table := new(maptable.Table)
			s := chunked.New(table, nil)
			defer s.Close()
			r, body := record("a", 1<<20)
			put(t, s, r, body)
			if err := spoil(table, chunked.BodyGroup("a", r.ID)); err != nil {
				t.Fatal(err)
			}
			for _, ctx := range []context.Context{store.Inspect(t.Context()), t.Context()} {
				b, err := s.Open(ctx, r)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(b); err == nil || !bytes.HasPrefix(body, got) {
					t.Errorf("%s: read %d bytes, %v", what, len(got), err)
				}
				b.Close()
				synctest.Wait()
				left := 1
				if !store.Inspecting(ctx) {
					left = 0
				}
				equal(t, what+": records left", table.Len("r/"), left)
			}
			equal(t, what+": rows of the body left", table.Len("b/"), 0)
		})
	}
}

func TestReadBackTakesBoundedMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &watched{Table: new(maptable.Table)}
		s := chunked.New(table, &chunked.Options{Chunk: 32 << 10, Parallel: 2})
		defer s.Close()
		r, body := record("a", 4<<20)
		w := write(t, s, r, body)
		defer w.Close()
		synctest.Wait() // until all is put
		p := make([]byte, 1000)
		for off := 0; off < len(body); off += 50_000 {
			n, err := w.ReadAt(p, int64(off))
			if !bytes.Equal(p[:n], body[off:off+n]) || err != nil && off+n < len(body) {
				t.Fatalf("ReadAt %d: %d bytes, %v", off, n, err)
			}
			if held := chunked.Held(w); held > 4 {
				t.Fatalf("%d pieces are held, want 4 at most", held)
			}
		}
		before := table.count("Get b")
		for off := range 30 { // within a piece: one Get for all
			w.ReadAt(p, int64(off*1000))
		}
		equal(t, "Gets for one piece", table.count("Get b")-before, 1)
	})
}

// A checksum is no proof of who wrote a piece: one of another length is damage, and brings nobody down.
func TestReadBackOfAForgedPieceIsDamage(t *testing.T) {
	for _, length := range []int{1, 500, 40 << 10} {
		synctest.Test(t, func(t *testing.T) {
			table := new(maptable.Table)
			s := chunked.New(table, &chunked.Options{Chunk: 32 << 10, Parallel: 1})
			defer s.Close()
			r, body := record("a", 1<<20)
			w := write(t, s, r, body)
			defer w.Close()
			synctest.Wait() // until all is put
			forged := make([]byte, length)
			forged = binary.BigEndian.AppendUint32(forged, store.Checksum(store.Checksum(0, r.ID[:]), forged))
			if err := table.Change(chunked.BodyGroup(r.Key, r.ID), "00000000", func([]byte) []byte { return forged }); err != nil {
				t.Fatal(err)
			}
			if n, err := w.ReadAt(make([]byte, 100), 500); n > 0 || !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("a piece of %d bytes: %d bytes and %v, want store.ErrCorrupt", length, n, err)
			}
		})
	}
}
