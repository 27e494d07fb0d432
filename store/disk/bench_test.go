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
	lookup := func(b *testing.B, key store.Key) {
		if found, err := s.Lookup(b.Context(), key); len(found) != 1 || err != nil {
			b.Fatal(found, err)
		}
	}
	replaced := put(b, s, "https://example.com/replaced", 1024)
	put(b, s, replaced.Key, 1024, replaced.ID)
	updated := put(b, s, "https://example.com/updated", 1024)
	must(b, s.Update(b.Context(), updated.Clone()))
	for _, atRest := range []bool{false, true} {
		name := map[bool]string{false: "just changed", true: "at rest"}[atRest]
		for _, key := range []store.Key{r.Key, replaced.Key, updated.Key} {
			b.Run("Lookup/"+string(key[len("https://example.com/"):])+"/"+name, func(b *testing.B) {
				now := time.Now()
				for _, path := range files(b, dir, "*") { // is a change of its own
					if !atRest {
						setTime(b, path, now)
						setTime(b, filepath.Dir(path), now)
					}
				}
				for atRest && time.Since(now) < 4*time.Second {
					lookup(b, key)
				}
				b.ReportAllocs()
				for b.Loop() {
					lookup(b, key)
				}
			})
		}
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
		s, _ := open(b, nil)
		r := put(b, s, "https://example.com/a", size)
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

// BenchmarkStore stores into a directory that fills up, in turn with the bare making of a file of that size, and of a
// folder with one in it: what a file system takes to make them varies too much from second to second to be measured one
// after the other. What is deleted, ext4 without a journal remembers for minutes, and makes new files more slowly
// meanwhile: so nothing is before the end.
func BenchmarkStore(b *testing.B) {
	for _, c := range []struct {
		name      string
		size      int
		supersede bool
	}{{"1KB", 1 << 10, false}, {"1KB in place of another", 1 << 10, true}, {"1024KB", 1 << 20, false}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			s, _ := open(b, &disk.Options{MaxBytes: -1})
			bare, content := b.TempDir(), make([]byte, c.size+400)
			for i := range 16 {
				must(b, os.Mkdir(filepath.Join(bare, fmt.Sprint(i)), 0o700))
			}
			var file, folder, stored time.Duration
			var old []store.ID
			for i := 0; b.Loop(); i++ {
				path := filepath.Join(bare, fmt.Sprint(i&15), fmt.Sprintf("%064d", i))
				times := [4]time.Time{time.Now()}
				must(b, os.WriteFile(path, content, 0o600))
				times[1] = time.Now()
				must(b, os.Mkdir(path+".folder", 0o700))
				must(b, os.WriteFile(filepath.Join(path+".folder", "head"), content, 0o600))
				times[2] = time.Now()
				if c.supersede {
					old = []store.ID{put(b, s, "https://example.com", c.size, old...).ID}
				} else {
					put(b, s, store.Key(fmt.Sprintf("https://example.com/%d", i)), c.size)
				}
				times[3] = time.Now()
				file += times[1].Sub(times[0])
				folder += times[2].Sub(times[1])
				stored += times[3].Sub(times[2])
			}
			b.ReportMetric(float64(stored.Nanoseconds())/float64(b.N), "store-ns/op")
			b.ReportMetric(float64(stored)/float64(file), "x-file")
			b.ReportMetric(float64(folder)/float64(file), "folder-x-file")
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
