//go:build !race

package compressed

import (
	"io"
	"runtime"
	"testing"

	"github.com/larder-go/larder/store/memory"
)

// In memory a hit allocates nothing; what is allocated here is what compressing costs.
func TestAllocationsOfAHit(t *testing.T) {
	s := New(new(memory.Store))
	for what, c := range map[string]struct {
		body []byte
		most float64
	}{
		"text":  {document(2000), 4},
		"noise": {noise(2000), 1},
	} {
		r := put(t, s, record("text/plain"), c.body, -1)
		n := testing.AllocsPerRun(1000, func() {
			if found, err := s.Lookup(ctx, r.Key); len(found) != 1 || found[0].Body == nil || err != nil {
				t.Fatal(found, err)
			}
		})
		if n > c.most {
			t.Errorf("%s: %v allocations, want at most %v", what, n, c.most)
		}
	}
}

func TestAllocationsDoNotGrowWithTheBody(t *testing.T) {
	const size = 64 << 20
	s := New(openDisk(t))
	piece := document(32 << 10)
	pass := func(size int64) {
		r := record("text/plain")
		r.Size = -1
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
		buf := make([]byte, len(piece))
		for err == nil {
			_, err = b.Read(buf)
		}
		if err != io.EOF {
			t.Fatal(err)
		}
	}
	pass(4 << 20) // fills pools
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	pass(size)
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > size/50 {
		t.Errorf("%d bytes allocated for a body of %d", n, size)
	}
}
