//go:build !race

package sealed

import (
	"io"
	"runtime"
	"testing"

	"github.com/larder-go/larder/store/memory"
)

// In memory a hit allocates nothing; what is allocated here is what sealing costs.
func TestAllocationsOfAHit(t *testing.T) {
	s := seal(t, new(memory.Store), testKey(1))
	keep(t, s, "key", 1000)
	n := testing.AllocsPerRun(1000, func() {
		if found, err := s.Lookup(ctx, "key"); len(found) != 1 || found[0].Body == nil || err != nil {
			t.Fatal(found, err)
		}
	})
	if n > 8 {
		t.Errorf("%v allocations, want at most 8", n)
	}
}

func TestAllocationsDoNotGrowWithTheBody(t *testing.T) {
	const size = 32 << 20
	s := seal(t, openDisk(t), testKey(1))
	r := record("key")
	r.Size = -1
	piece := make([]byte, 32<<10)
	pass := func(size int64) {
		w, err := s.Create(ctx, r)
		must(t, err)
		defer w.Close()
		for range size / int64(len(piece)) {
			if _, err := w.Write(piece); err != nil {
				t.Fatal(err)
			}
		}
		r.Size = size
		must(t, w.Commit(r))
		b, err := s.Open(ctx, r)
		must(t, err)
		defer b.Close()
		for err == nil {
			_, err = b.Read(piece)
		}
		if err != io.EOF {
			t.Fatal(err)
		}
	}
	pass(1 << 20) // fills pools
	must(t, s.Delete(ctx, "key"))
	r = record("key")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	pass(size)
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > size/100 {
		t.Errorf("%d bytes allocated for a body of %d", n, size)
	}
}
