package storetest

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/larder-go/larder/store"
)

// Benchmark measures as sub-benchmarks what larder asks of a store most often: a hit (Lookup, and the body read to its
// end) and a store of 1 KB and of 1 MB, both with one goroutine and with several, and an Update.
func Benchmark(b *testing.B, kit Kit) {
	s, err := kit.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	if c, ok := s.(io.Closer); ok {
		b.Cleanup(func() { c.Close() })
	}
	t := &check{kit: kit, ctx: context.Background()}
	must := func(b *testing.B, err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	for _, size := range []int{1 << 10, 1 << 20} {
		name := map[int]string{1 << 10: "1KB", 1 << 20: "1MB"}[size]
		keys := make([]store.Key, 8)
		records := make([]*store.Record, len(keys))
		body := bodyOf("bench", store.ID{}, size)
		put := func(i int, old ...store.ID) error {
			r := t.record(keys[i])
			r.Size = int64(size)
			w, err := s.Create(t.ctx, r)
			if err != nil {
				return err
			}
			defer w.Close()
			for p := body; len(p) > 0; p = p[min(len(p), piece):] {
				if _, err := w.Write(p[:min(len(p), piece)]); err != nil {
					return err
				}
			}
			if err := w.Commit(r, old...); err != nil {
				return err
			}
			records[i] = r
			return w.Close()
		}
		for i := range keys {
			keys[i] = store.Key(fmt.Sprintf("https://example.com/%s/%040d", name, i))
			must(b, put(i))
		}
		buf := make([]byte, piece)
		hit := func(buf []byte, i int) error {
			found, err := s.Lookup(t.ctx, keys[i%len(keys)])
			if err != nil || len(found) != 1 {
				return fmt.Errorf("%d found, %v", len(found), err)
			}
			if found[0].Body != nil {
				return nil
			}
			r, err := s.Open(t.ctx, found[0])
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
		b.Run("hit-"+name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for i := 0; b.Loop(); i++ {
				must(b, hit(buf, i))
			}
		})
		b.Run("hit-"+name+"-parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(size))
			b.RunParallel(func(pb *testing.PB) {
				buf := make([]byte, piece)
				for i := 0; pb.Next(); i++ {
					if err := hit(buf, i); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
		b.Run("store-"+name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for i := 0; b.Loop(); i++ {
				must(b, put(i%len(keys), records[i%len(keys)].ID))
			}
		})
		if size == 1<<10 {
			b.Run("update", func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					must(b, s.Update(t.ctx, records[i%len(keys)].Clone()))
				}
			})
		}
	}
}
