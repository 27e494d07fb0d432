package disk_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/disk"
	"github.com/larder-go/larder/store/storetest"
)

func BenchmarkContract(b *testing.B) { storetest.Benchmark(b, kit) }

// BenchmarkHit1K is a Lookup beside what it cannot do without: os.ReadFile of the same file, and the part that
// any store has, the digest of the key and the decoding of the head.
func BenchmarkHit1K(b *testing.B) {
	s, dir := open(b, nil)
	r := put(b, s, "https://example.com/a", 1024)
	path := only(b, dir, "*.head")
	b.Run("floor=ReadFile", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := os.ReadFile(path); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("floor=ReadDir+ReadFile", func(b *testing.B) { // what a folder for each key comes to, bare
		b.ReportAllocs()
		for b.Loop() {
			d, err := os.Open(filepath.Dir(path))
			if err != nil {
				b.Fatal(err)
			}
			names, err := d.Readdirnames(-1)
			d.Close()
			if err != nil {
				b.Fatal(err)
			}
			if _, err := os.ReadFile(filepath.Join(filepath.Dir(path), names[0])); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("floor=digest+decode", func(b *testing.B) {
		b.ReportAllocs()
		head := store.AppendHead(nil, r)
		for b.Loop() {
			r.Key.Digest()
			if _, err := store.DecodeHead(head); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, c := range []struct {
		name string
		rest time.Duration
	}{{"just changed", -time.Hour}, {"at rest", time.Hour}} {
		b.Run("Lookup/"+c.name, func(b *testing.B) {
			setTime(b, filepath.Dir(path), time.Now().Add(-c.rest))
			b.ReportAllocs()
			for b.Loop() {
				if found, err := s.Lookup(b.Context(), r.Key); len(found) != 1 || err != nil {
					b.Fatal(found, err)
				}
			}
		})
	}
	b.Run("miss", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if found, err := s.Lookup(b.Context(), "https://example.com/none"); len(found) != 0 || err != nil {
				b.Fatal(found, err)
			}
		}
	})
}

// BenchmarkRead1M reads a body of 1 MB, open to close, beside the same file streamed bare, and the same with the
// checksums: as one that is to be verified, and as one that was.
func BenchmarkRead1M(b *testing.B) {
	s, dir := open(b, nil)
	r := put(b, s, "https://example.com/a", 1<<20)
	path := only(b, dir, "*.body")
	setTime(b, filepath.Dir(path), time.Now().Add(-time.Hour))
	bare := func(b *testing.B, each func([]byte)) {
		b.ReportAllocs()
		b.SetBytes(1 << 20)
		buf := make([]byte, 64<<10)
		for b.Loop() {
			f, err := os.Open(path)
			if err != nil {
				b.Fatal(err)
			}
			for {
				n, err := f.Read(buf)
				if err != nil {
					break
				}
				each(buf[:n])
			}
			f.Close()
		}
	}
	b.Run("floor=stream", func(b *testing.B) { bare(b, func([]byte) {}) })
	b.Run("floor=stream+checksum", func(b *testing.B) { bare(b, func(p []byte) { store.Checksum(0, p) }) })
	b.Run("floor=ReadFile", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(1 << 20)
		for b.Loop() {
			if _, err := os.ReadFile(path); err != nil {
				b.Fatal(err)
			}
		}
	})
	read := func(b *testing.B, buf []byte) {
		body, err := s.Open(b.Context(), r)
		for err == nil {
			_, err = body.Read(buf)
		}
		if err != io.EOF {
			b.Fatal(err)
		}
		body.Close()
	}
	for _, again := range []bool{false, true} {
		name := map[bool]string{false: "first", true: "again"}[again]
		setTime(b, path, time.Now()) // changes the file, so that it is not at rest
		for changed := time.Now(); again && time.Since(changed) < 4*time.Second; {
			read(b, make([]byte, 32<<10))
		}
		for _, size := range []int{4, 32, 64, 256} {
			b.Run(fmt.Sprintf("Read/%s/%dKB", name, size), func(b *testing.B) {
				if !again {
					setTime(b, path, time.Now())
				}
				b.ReportAllocs()
				b.SetBytes(1 << 20)
				buf := make([]byte, size<<10)
				for b.Loop() {
					read(b, buf)
				}
			})
		}
		b.Run("WriteTo/"+name, func(b *testing.B) {
			if !again {
				setTime(b, path, time.Now())
			}
			b.ReportAllocs()
			b.SetBytes(1 << 20)
			for b.Loop() {
				body, err := s.Open(b.Context(), r)
				if err != nil {
					b.Fatal(err)
				}
				if n, err := io.Copy(struct{ io.Writer }{io.Discard}, body); n != 1<<20 || err != nil {
					b.Fatal(n, err)
				}
				body.Close()
			}
		})
	}
}

// BenchmarkInline finds where a body is better off in the head file: a hit with the body inside against one with the
// body in a file of its own.
func BenchmarkInline(b *testing.B) {
	buf := make([]byte, 64<<10)
	for _, size := range []int{4 << 10, 16 << 10, 32 << 10, 64 << 10, 64<<10 + 1} {
		s, dir := open(b, nil)
		r := put(b, s, "https://example.com/a", size)
		setTime(b, filepath.Dir(only(b, dir, "*.head")), time.Now().Add(-time.Hour))
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				found, err := s.Lookup(b.Context(), r.Key)
				if len(found) != 1 || err != nil {
					b.Fatal(found, err)
				}
				if found[0].Body != nil {
					continue
				}
				body, err := s.Open(b.Context(), found[0])
				for err == nil {
					_, err = body.Read(buf)
				}
				body.Close()
			}
		})
	}
}

// BenchmarkStore stores under new keys, into a directory that fills up, in turn with the bare making of a folder and a
// file of that size, which is the floor: what a file system takes to make them varies too much from second to second to
// be measured one after the other.
func BenchmarkStore(b *testing.B) {
	for _, size := range []int{1 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKB", size>>10), func(b *testing.B) {
			b.ReportAllocs()
			s, _ := open(b, &disk.Options{MaxBytes: -1})
			bare, content := b.TempDir(), make([]byte, size+400)
			for i := range 256 {
				os.Mkdir(filepath.Join(bare, fmt.Sprintf("%02x", i)), 0o700)
			}
			var floor, stored time.Duration
			for i := 0; b.Loop(); i++ {
				start := time.Now()
				folder := filepath.Join(bare, fmt.Sprintf("%02x", i&255), fmt.Sprintf("%064d", i))
				if err := os.Mkdir(folder, 0o700); err != nil {
					b.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(folder, "head"), content, 0o600); err != nil {
					b.Fatal(err)
				}
				between := time.Now()
				put(b, s, store.Key(fmt.Sprintf("https://example.com/%d", i)), size)
				floor += between.Sub(start)
				stored += time.Since(between)
			}
			b.ReportMetric(float64(floor.Nanoseconds())/float64(b.N), "floor-ns/op")
			b.ReportMetric(float64(stored.Nanoseconds())/float64(b.N), "store-ns/op")
			b.ReportMetric(float64(stored)/float64(floor), "ratio")
		})
	}
	b.Run("1KB/at the limit", func(b *testing.B) {
		b.ReportAllocs()
		s, _ := open(b, &disk.Options{MaxBytes: 8 << 20})
		i := 0
		for ; i < 1200; i++ {
			put(b, s, store.Key(fmt.Sprintf("https://example.com/%d", i)), 1<<10)
		}
		for ; b.Loop(); i++ {
			put(b, s, store.Key(fmt.Sprintf("https://example.com/%d", i)), 1<<10)
		}
	})
}

// BenchmarkOpen opens and closes a store that holds much; Sweep reads through it.
func BenchmarkOpen(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		s, dir := open(b, nil)
		for i := range n {
			put(b, s, store.Key(fmt.Sprint(i)), 100)
		}
		b.Run(fmt.Sprint(n, " records/Open"), func(b *testing.B) {
			for b.Loop() {
				s, err := disk.Open(dir, nil)
				if err != nil {
					b.Fatal(err)
				}
				s.Close()
			}
		})
		b.Run(fmt.Sprint(n, " records/Sweep"), func(b *testing.B) {
			for b.Loop() {
				if n, err := s.Sweep(b.Context(), time.Now()); n != 0 || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}

func BenchmarkUpdate(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKB", size>>10), func(b *testing.B) {
			s, _ := open(b, nil)
			r := put(b, s, "https://example.com/a", size)
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Update(b.Context(), r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
