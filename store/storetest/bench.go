package storetest

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/larder-go/larder/store"
)

// Benchmark measures, as sub-benchmarks, what larder asks of a store most often: a hit (Lookup, and the body read to
// its end) and storing, with bodies of 1 KB and of 1 MB, and an Update. It measures hits with one goroutine and with
// several.
func Benchmark(b *testing.B, kit Kit) {
	s, err := kit.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	if c, ok := s.(io.Closer); ok {
		b.Cleanup(func() { c.Close() })
	}
	t := &check{kit: kit, ctx: context.Background()}
	benchmarkSize(b, "1KB", newShelf(b, t, s, "1KB", 1<<10))
	benchmarkSize(b, "1MB", newShelf(b, t, s, "1MB", 1<<20))
}

func benchmarkSize(b *testing.B, name string, s *shelf) {
	run := func(name string, bytes int, do func(i int) error) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(bytes))
			for i := 0; b.Loop(); i++ {
				must(b, do(i%len(s.records)))
			}
		})
	}
	size := len(s.body)
	buf := make([]byte, piece)
	run("hit-"+name, size, func(i int) error { return s.hit(i, buf) })
	b.Run("hit-"+name+"-parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(size))
		b.RunParallel(func(pb *testing.PB) {
			buf := make([]byte, piece)
			for i := 0; pb.Next(); i++ {
				if err := s.hit(i%len(s.records), buf); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
	run("store-"+name, size, func(i int) error { return s.put(i, s.records[i].ID) })
	if name == "1KB" {
		run("update", 0, func(i int) error { return s.store.Update(s.t.ctx, s.records[i].Clone()) })
	}
}

// shelf is a few records of one size in a store.
type shelf struct {
	t       *check
	store   store.Store
	body    []byte
	keys    []store.Key
	records []*store.Record // one of each key
}

func newShelf(b *testing.B, t *check, s store.Store, name string, size int) *shelf {
	const n = 8
	sh := &shelf{t: t, store: s, body: bodyOf("bench", store.ID{}, size), keys: make([]store.Key, n), records: make([]*store.Record, n)}
	for i := range n {
		sh.keys[i] = store.Key(fmt.Sprintf("https://example.com/%s/%040d", name, i))
		must(b, sh.put(i))
	}
	return sh
}

// put stores a record of key i in the place of old.
func (s *shelf) put(i int, old ...store.ID) error {
	r := s.t.record(s.keys[i])
	r.Size = int64(len(s.body))
	w, err := s.store.Create(s.t.ctx, r)
	if err != nil {
		return err
	}
	defer w.Close()
	for p := s.body; len(p) > 0; p = p[min(len(p), piece):] {
		if _, err := w.Write(p[:min(len(p), piece)]); err != nil {
			return err
		}
	}
	if err := w.Commit(r, old...); err != nil {
		return err
	}
	s.records[i] = r
	return w.Close()
}

// hit looks key i up and reads the body through buf.
func (s *shelf) hit(i int, buf []byte) error {
	found, err := s.store.Lookup(s.t.ctx, s.keys[i])
	if err != nil || len(found) != 1 {
		return fmt.Errorf("%d found, %v", len(found), err)
	}
	if found[0].Body != nil {
		return nil
	}
	r, err := s.store.Open(s.t.ctx, found[0])
	if err != nil {
		return err
	}
	for err == nil {
		_, err = r.Read(buf)
	}
	if err != io.EOF {
		return err
	}
	return r.Close()
}

func must(b *testing.B, err error) {
	if err != nil {
		b.Fatal(err)
	}
}
