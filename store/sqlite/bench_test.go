//go:build unix

package sqlite

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/storetest"
)

// Each benchmark has a floor, "bare": the same bytes by prepared statements on the same kind of connection, in
// a table of a key and a value. What counts is the ratio, best of cpu-ns/op, which other programs on the
// machine move less.

func BenchmarkContract(b *testing.B) {
	storetest.Benchmark(b, storetest.Kit{Open: func(dir string) (store.Store, error) { return Open(dir+"/cache.db", nil) }})
}

func BenchmarkLookup(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10} {
		const rows = 5_000
		s, bare := mustOpen(b, temp(b), nil), newBare(b)
		for i := range rows {
			r := mustPut(b, s, benchKey(i), make([]byte, size))
			bare.put([]byte(r.Key), append(store.AppendHead(nil, r), make([]byte, size)...))
		}
		b.Run(fmt.Sprintf("%dKB/bare", size>>10), func(b *testing.B) {
			defer reportCPU(b)()
			for i := 0; b.Loop(); i++ {
				bare.get([]byte(benchKey(i * 7919 % rows)))
			}
		})
		b.Run(fmt.Sprintf("%dKB/store", size>>10), func(b *testing.B) {
			defer reportCPU(b)()
			for i := 0; b.Loop(); i++ {
				if found, err := s.Lookup(ctx, store.Key(benchKey(i*7919%rows))); len(found) != 1 || err != nil {
					b.Fatal(len(found), err)
				}
			}
		})
	}
}

func BenchmarkStore(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10} {
		body := make([]byte, size)
		now := time.Now()
		b.Run(fmt.Sprintf("%dKB/bare", size>>10), func(b *testing.B) {
			bare := newBare(b)
			head := store.AppendHead(nil, newRecord(benchKey(0), now))
			value := make([]byte, len(head)+size)
			defer reportCPU(b)()
			for i := 0; b.Loop(); i++ {
				copy(value, head) // another one each time, as SQLite does not write what stays the same
				value[i%len(value)]++
				bare.put([]byte(benchKey(i)), value)
			}
		})
		b.Run(fmt.Sprintf("%dKB/store", size>>10), func(b *testing.B) {
			s := mustOpen(b, temp(b), nil)
			r := newRecord("", now)
			defer reportCPU(b)()
			for i := 0; b.Loop(); i++ {
				body[i%len(body)]++
				r := r.Clone()
				r.Key, r.ID = store.Key(benchKey(i)), store.NewID(now)
				if err := put(s, r, body); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("%dKB/bare-again", size>>10), func(b *testing.B) {
			bare := newBare(b)
			value := make([]byte, len(store.AppendHead(nil, newRecord(benchKey(0), now)))+size)
			defer reportCPU(b)()
			for i := 0; b.Loop(); i++ {
				value[i%len(value)]++
				bare.put([]byte(benchKey(i%1000)), value)
			}
		})
		b.Run(fmt.Sprintf("%dKB/store-again", size>>10), func(b *testing.B) {
			s := mustOpen(b, temp(b), nil)
			first := newRecord("", now)
			old := make([][]store.ID, 1000)
			defer reportCPU(b)()
			for i := 0; b.Loop(); i++ {
				body[i%len(body)]++
				r := first.Clone()
				r.Key, r.ID = store.Key(benchKey(i%1000)), store.NewID(now)
				if err := put(s, r, body, old[i%1000]...); err != nil {
					b.Fatal(err)
				}
				old[i%1000] = []store.ID{r.ID}
			}
		})
	}
}

// BenchmarkLookupMiss looks for what is not there yet after each store, as a Cache does before.
func BenchmarkLookupMiss(b *testing.B) {
	for _, c := range []struct {
		name string
		read func(*Store, func(*conn) error) error
	}{
		{"reader", func(s *Store, f func(*conn) error) error { return s.read(ctx, f) }},
		{"writer", func(s *Store, f func(*conn) error) error { return s.readSoon(ctx, f) }},
		{"none", func(*Store, func(*conn) error) error { return nil }},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := mustOpen(b, temp(b), nil)
			body := make([]byte, 1<<10)
			defer reportCPU(b)()
			for i := 0; b.Loop(); i++ {
				err := c.read(s, func(c *conn) error {
					return c.each(&lookupRows, func(row) { b.Fatal("it is there") }, []byte(benchKey(i)))
				})
				if err != nil {
					b.Fatal(err)
				}
				mustPut(b, s, benchKey(i), body)
			}
		})
	}
}

func BenchmarkStream(b *testing.B) {
	const size = 1 << 20
	const n = 64
	body := make([]byte, size)
	s, bare := mustOpen(b, temp(b), nil), newBare(b)
	var records []*store.Record
	for i := range n {
		records = append(records, mustPut(b, s, benchKey(i), body))
		for seq := range size / chunkSize {
			bare.putChunk(i, seq, body[:chunkSize])
		}
	}
	b.Run("read/bare", func(b *testing.B) {
		b.ReportAllocs()
		defer reportCPU(b)()
		for i := 0; b.Loop(); i++ {
			bare.stream(i % n)
		}
	})
	b.Run("read/store", func(b *testing.B) {
		b.ReportAllocs()
		buf := make([]byte, 32<<10)
		defer reportCPU(b)()
		for i := 0; b.Loop(); i++ {
			r, err := s.Open(ctx, records[i%n])
			if err != nil {
				b.Fatal(err)
			}
			if n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r}, buf); n != size || err != nil {
				b.Fatal(n, err)
			}
			r.Close()
		}
	})
	b.Run("write/bare", func(b *testing.B) {
		b.ReportAllocs()
		bare := newBare(b)
		defer reportCPU(b)()
		for i := 0; b.Loop(); i++ {
			for seq := range size / chunkSize {
				body[seq]++
				bare.putChunk(i, seq, body[:chunkSize])
			}
		}
	})
	b.Run("write/store", func(b *testing.B) {
		b.ReportAllocs()
		s := mustOpen(b, temp(b), nil)
		now := time.Now()
		r := newRecord("", now)
		defer reportCPU(b)()
		for i := 0; b.Loop(); i++ {
			body[i%size]++
			r := r.Clone()
			r.Key, r.ID, r.Size = store.Key(benchKey(i)), store.NewID(now), size
			w, err := s.Create(ctx, r)
			if err != nil {
				b.Fatal(err)
			}
			for piece := body; len(piece) > 0; piece = piece[32<<10:] {
				if _, err := w.Write(piece[:32<<10]); err != nil {
					b.Fatal(err)
				}
			}
			if err := w.Commit(r); err != nil {
				b.Fatal(err)
			}
			w.Close()
		}
	})
}

func benchKey(i int) string {
	return fmt.Sprintf("api.example.com/v1/things/%08d/parts?page=%d", uint32(i)*2654435761, i)
}

// reportCPU reports the time that the process has used between the two calls.
func reportCPU(b *testing.B) func() {
	cpu := func() int64 {
		var u syscall.Rusage
		syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		return u.Utime.Nano() + u.Stime.Nano()
	}
	start := cpu()
	return func() { b.ReportMetric(float64(cpu()-start)/float64(b.N), "cpu-ns/op") }
}

// bare is a database of nothing but keys and values.
type bare struct {
	b *testing.B
	c *conn
}

func newBare(b *testing.B) *bare {
	db, err := sql.Open("sqlite", temp(b))
	if err != nil {
		b.Fatal(err)
	}
	c, err := (&Store{db: db}).connect()
	if err != nil {
		b.Fatal(err)
	}
	if err := errors.Join(c.layOut(), c.pragmas("journal_mode = WAL")); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		c.close()
		db.Close()
	})
	for _, q := range []string{
		`CREATE TABLE kv (key BLOB PRIMARY KEY, value BLOB)`,
		`CREATE TABLE chunks (n INTEGER, seq INTEGER, data BLOB, UNIQUE (n, seq))`,
	} {
		if _, err := c.exec(q); err != nil {
			b.Fatal(err)
		}
	}
	return &bare{b, c}
}

func (p *bare) put(key, value []byte) {
	if _, err := p.c.exec(`INSERT INTO kv VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value`, key, value); err != nil {
		p.b.Fatal(err)
	}
}

func (p *bare) get(key []byte) []byte {
	var v sql.RawBytes
	rows, err := p.c.query(`SELECT value FROM kv WHERE key = ?`, key)
	if err != nil || !rows.Next() || rows.Scan(&v) != nil {
		p.b.Fatal(err)
	}
	value := bytes.Clone(v)
	rows.Close()
	return value
}

func (p *bare) putChunk(n, seq int, data []byte) {
	if _, err := p.c.exec(`INSERT INTO chunks VALUES (?, ?, ?)`, n, seq, data); err != nil {
		p.b.Fatal(err)
	}
}

func (p *bare) stream(n int) {
	rows, err := p.c.query(`SELECT data FROM chunks WHERE n = ? ORDER BY seq`, n)
	if err != nil {
		p.b.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var v sql.RawBytes
		if err := rows.Scan(&v); err != nil {
			p.b.Fatal(err)
		}
		io.Discard.Write(v)
	}
}
