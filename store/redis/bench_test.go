package redis

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/storetest"
)

func BenchmarkStore(b *testing.B) {
	url := env(b, "REDIS_URL")
	storetest.Benchmark(b, storetest.Kit{
		Open: func(string) (store.Store, error) {
			return Open(context.Background(), url, &Options{Prefix: newPrefix(b, url)})
		},
	})
}

// stored returns a store with one record, whose body has size bytes, and the driver's client.
func stored(b *testing.B, size int, o Options) (*Store, *store.Record, rueidis.Client) {
	b.Helper()
	url := env(b, "REDIS_URL")
	o.Prefix, o.MaxBody = newPrefix(b, url), -1
	s, err := Open(context.Background(), url, &o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s, fill(b, s, "https://example.com/", size), raw(b, url)
}

// fill stores one record.
func fill(t testing.TB, s store.Store, url string, size int) *store.Record {
	t.Helper()
	r := &store.Record{Key: store.Key(url), ID: store.NewID(time.Now()), Size: int64(size)}
	r.URL, r.Status, r.Proto = url, 200, "HTTP/1.1"
	r.Header = map[string][]string{"Content-Type": {"text/plain"}, "Cache-Control": {"max-age=3600"}, "Etag": {`"0123456789"`}}
	r.Received, r.KeepUntil = time.Now(), time.Now().Add(time.Hour)
	w, err := s.Create(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for block := bytes.Repeat([]byte("larder.."), 4<<10); size > 0; size -= len(block) {
		if _, err := w.Write(block[:min(size, len(block))]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(r); err != nil {
		t.Fatal(err)
	}
	return r
}

func hit(s *Store, key store.Key) error {
	found, err := s.Lookup(context.Background(), key)
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("%d records", len(found))
	}
	return err
}

func bareHit(c rueidis.Client, key string) error {
	_, err := c.Do(context.Background(), c.B().Hgetall().Key(key).Build()).AsStrMap()
	return err
}

// compare has the driver and the store take turns, so that both find the machine as it is, and reports how much longer
// the store takes.
func compare(b *testing.B, bare, ours func() error) {
	var took [2]time.Duration
	for b.Loop() {
		for i, do := range []func() error{bare, ours} {
			from := time.Now()
			if err := do(); err != nil {
				b.Fatal(err)
			}
			took[i] += time.Since(from)
		}
	}
	b.ReportMetric(float64(took[0].Nanoseconds())/float64(b.N), "bare-ns/op")
	b.ReportMetric(float64(took[1].Nanoseconds())/float64(b.N), "ours-ns/op")
	b.ReportMetric(took[1].Seconds()/took[0].Seconds(), "ours/bare")
	b.ReportMetric(0, "ns/op")
}

// crowd returns what has 64 goroutines do something 32 times each.
func crowd(do func() error) func() error {
	return func() error {
		errs := make(chan error, 64)
		for range cap(errs) {
			go func() {
				var err error
				for i := 0; err == nil && i < 32; i++ {
					err = do()
				}
				errs <- err
			}()
		}
		var first error
		for range cap(errs) {
			if err := <-errs; first == nil {
				first = err
			}
		}
		return first
	}
}

// BenchmarkHit compares a hit on 1 KB with the driver's HGETALL of the same bytes.
func BenchmarkHit(b *testing.B) {
	s, r, c := stored(b, 1<<10, Options{})
	near, _, _ := stored(b, 1<<10, Options{Near: 1 << 20})
	key := s.table.key(fmt.Sprintf("r/%x", r.Key.Digest()))
	bare := func() error { return bareHit(c, key) }
	ours := func() error { return hit(s, r.Key) }
	b.Run("serial", func(b *testing.B) { compare(b, bare, ours) })
	// A connection of rueidis that two calls have used at once goes on to pipeline, which takes a serial call 10 µs
	// more; that of a store soon does.
	opts, _, err := parse(env(b, "REDIS_URL"), Options{})
	if err != nil {
		b.Fatal(err)
	}
	opts = tuned(opts)
	opts.AlwaysPipelining = true
	piped, err := rueidis.NewClient(opts)
	if err != nil {
		b.Fatal(err)
	}
	defer piped.Close()
	b.Run("serial/pipelining", func(b *testing.B) { compare(b, func() error { return bareHit(piped, key) }, ours) })
	b.Run("64", func(b *testing.B) { compare(b, crowd(bare), crowd(ours)) })
	ours = func() error { return hit(near, r.Key) }
	b.Run("near/serial", func(b *testing.B) { compare(b, bare, ours) })
	b.Run("near/64", func(b *testing.B) { compare(b, crowd(bare), crowd(ours)) })
}

// BenchmarkBody compares reading a body of 64 MB with the driver reading the same pieces, four in a pipeline.
func BenchmarkBody(b *testing.B) {
	const size = 64 << 20
	s, r, c := stored(b, size, Options{})
	key := s.table.key(fmt.Sprintf("b/%x/%s", r.Key.Digest(), r.ID))
	bare := func() error {
		for i := 0; i < size/(256<<10); i += 4 {
			var cmds rueidis.Commands
			for k := range 4 {
				cmds = append(cmds, c.B().Hget().Key(key).Field(fmt.Sprintf("%08d", i+k)).Build())
			}
			for _, a := range c.DoMulti(context.Background(), cmds...) {
				if _, err := a.AsBytes(); err != nil {
					return err
				}
			}
		}
		return nil
	}
	buf := make([]byte, 32<<10)
	ours := func() error {
		body, err := s.Open(context.Background(), r)
		if err != nil {
			return err
		}
		defer body.Close()
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{body}, buf)
		if err == nil && n != size {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	compare(b, bare, ours)
}
