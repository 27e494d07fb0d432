package compressed

import (
	"fmt"
	"io"
	"testing"

	"github.com/larder-go/larder/store/memory"
	"github.com/larder-go/larder/store/storetest"
)

func BenchmarkContract(b *testing.B) { storetest.Benchmark(b, memoryKit(pressed)) } // noise: what is not packed

// BenchmarkDocument stores, and reads as a hit does, JSON that is packed. ratio is how many times less the inner store
// holds.
func BenchmarkDocument(b *testing.B) {
	for _, size := range []int{2 << 10, 16 << 10, 1 << 20} {
		body := document(size)
		s := New(new(memory.Store))
		r := put(b, s, record("application/json"), body, int64(size))
		ratio := float64(size) / float64(only(b, s.Store, r.Key).Size)
		b.Run(fmt.Sprintf("store/%dKB", size>>10), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				put(b, s, r, body, int64(size))
			}
			b.ReportMetric(ratio, "ratio")
		})
		b.Run(fmt.Sprintf("hit/%dKB", size>>10), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				got := only(b, s, r.Key)
				if got.Body != nil {
					continue
				}
				body, err := s.Open(ctx, got)
				must(b, err)
				if n, err := io.Copy(io.Discard, body); n != int64(size) || err != nil {
					b.Fatal(n, err)
				}
				must(b, body.Close())
			}
		})
	}
}
