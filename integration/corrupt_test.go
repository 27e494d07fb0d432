package integration

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/internal/maptable"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/bytestore"
	"github.com/larder-go/larder/store/chunked"
	"github.com/larder-go/larder/store/compressed"
	"github.com/larder-go/larder/store/sealed"
)

var stride = flag.Int("stride", 997, "TestCorruptedBytes alters one in so many bytes of large bodies, and two hundred times as many elsewhere; below 200 each of these, 1: each of all")

// medium is what the bytes of a store are in.
type medium struct {
	cells map[string][]byte // files, columns or values, as they were stored
	// put makes it what it was, but for one cell.
	put func(name string, value []byte) error
}

// formats are all that larder writes, each with what is below it.
var formats = []struct {
	name string
	open func(t *testing.T) (open func() closer, look func() medium)
}{
	{"disk", onDisk(plain)},
	{"sqlite", inSQLite},
	{"chunked", inTable(plain)},
	{"bytestore", inValues},
	{"sealed on disk", onDisk(sealedStore)},
	{"sealed in chunks", inTable(sealedStore)},
	{"compressed on disk", onDisk(func(s store.Store) store.Store { return compressed.New(s) })},
	{"compressed and sealed in chunks", inTable(func(s store.Store) store.Store { return compressed.New(sealedStore(s)) })},
}

// TestCorruptedBytes alters bytes of what is stored of a response, one at a time, and asks for it: nobody ever gets
// a wrong one, what is damaged is told of, and the next who asks finds it whole again.
func TestCorruptedBytes(t *testing.T) {
	for _, f := range formats {
		for _, size := range []int{900, 70_000} {
			t.Run(fmt.Sprint(f.name, "/", size), func(t *testing.T) {
				t.Parallel()
				open, look := f.open(t)
				u := newReader(t.Name(), size)
				u.use(t, open(), func() {
					if err := errors.Join(u.ask(larder.Miss), u.ask(larder.Hit)); err != nil {
						t.Fatal(err)
					}
				})
				m := look()
				total := 0
				for name, whole := range m.cells {
					total += len(whole)
					for at := range whole {
						step := 1 + *stride/200
						if len(whole) > 4000 && at > 100 && at < len(whole)-100 {
							step = *stride
						}
						if at%step != 0 {
							continue
						}
						altered := slices.Clone(whole)
						altered[at] ^= []byte{0xff, 1, 0x80}[at%3]
						if err := m.put(name, altered); err != nil {
							t.Fatal(err)
						}
						u.use(t, open(), func() {
							if err := errors.Join(u.askDamaged(), u.ask(larder.Hit)); err != nil {
								t.Errorf("byte %d of the %d of %s: %v", at, len(whole), name, err)
							}
						})
					}
				}
				t.Logf("%d bytes in %d cells: %d altered; %d misses, %d that went on from the origin, %d hits, as it did not matter",
					total, len(m.cells), u.misses+u.resumed+u.hits, u.misses, u.resumed, u.hits)
				if u.misses == 0 || size == 900 && u.resumed > 0 {
					t.Errorf("%d misses, %d went on from the origin", u.misses, u.resumed)
				}
			})
		}
	}
}

// reader asks for one response over and over.
type reader struct {
	cache                 *larder.Cache
	origin                http.RoundTripper
	body                  []byte
	misses, resumed, hits int
}

func newReader(seed string, size int) *reader {
	half := make([]byte, size/2)
	rand.NewChaCha8(sha256.Sum256([]byte(seed))).Read(half)
	u := &reader{body: []byte(hex.EncodeToString(half))} // which can be compressed
	u.origin = inProcess(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=3600")
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Length", strconv.Itoa(len(u.body)))
		w.Header().Set("ETag", `"right"`)
		w.Write(u.body)
	})
	return u
}

// use lets u ask through a cache on s, and waits until all is done that goes on behind it.
func (u *reader) use(t *testing.T, s closer, ask func()) {
	u.cache = &larder.Cache{Store: s, Base: u.origin}
	ask()
	if err := errors.Join(u.cache.Close(t.Context()), s.Close()); err != nil {
		t.Error(err)
	}
}

// ask wants an outcome with all that the origin says.
func (u *reader) ask(want larder.Outcome) error {
	outcome, err := u.read()
	if err == nil && outcome != want {
		err = fmt.Errorf("a %v, want a %v", outcome, want)
	}
	return err
}

func (u *reader) read() (larder.Outcome, error) {
	resp, err := u.cache.Client().Get(killedOrigin + "/page")
	if err != nil {
		return larder.None, err
	}
	defer resp.Body.Close()
	for name, want := range map[string]string{"Etag": `"right"`, "Content-Type": "text/plain", "Cache-Control": "max-age=3600"} {
		if got := resp.Header[name]; resp.StatusCode != 200 || !slices.Equal(got, []string{want}) {
			return larder.None, fmt.Errorf("status %d, %s: %q, want %q", resp.StatusCode, name, got, want)
		}
	}
	outcome := larder.Info(resp).Outcome
	return outcome, sameBytes(resp.Body, u.body, outcome.String())
}

// askDamaged asks for what may be damaged, and counts what comes of it.
func (u *reader) askDamaged() error {
	outcome, err := u.read()
	told := u.cache.Stats().Damaged > 0
	switch {
	case err != nil:
		return err
	case outcome == larder.Hit && told:
		u.resumed++
		return u.ask(larder.Miss)
	case outcome == larder.Hit && !told:
		u.hits++
	case outcome == larder.Miss && told:
		u.misses++
	default:
		return fmt.Errorf("a %v; is damage told of: %v", outcome, told)
	}
	return nil
}

// staysOpen is a store that is not closed but at the end.
type staysOpen struct{ store.Store }

func (staysOpen) Close() error { return nil }

// around is a store around another, which is closed.
type around struct {
	store.Store
	inner io.Closer
}

func (a around) Close() error { return a.inner.Close() }

func plain(s store.Store) store.Store { return s }

func sealedStore(s store.Store) store.Store {
	key, err := sealed.KeyFromBytes(bytes.Repeat([]byte{0x5a}, 32))
	if err != nil {
		panic(err)
	}
	out, err := sealed.New(s, key)
	if err != nil {
		panic(err)
	}
	return out
}

func onDisk(wrap func(store.Store) store.Store) func(t *testing.T) (func() closer, func() medium) {
	return func(t *testing.T) (func() closer, func() medium) {
		dir := t.TempDir()
		s, err := openStore("disk", dir)
		if err != nil {
			t.Fatal(err)
		}
		closeAtEnd(t, s)
		files := func(do func(path string) error) error {
			return filepath.WalkDir(filepath.Join(dir, "cache", "v1"), func(path string, d fs.DirEntry, err error) error {
				if err == nil && !d.IsDir() && !books.MatchString(d.Name()) {
					err = do(path)
				}
				return err
			})
		}
		return func() closer { return staysOpen{wrap(s)} }, func() medium {
			m := medium{cells: make(map[string][]byte)}
			err := files(func(path string) (err error) {
				m.cells[path], err = os.ReadFile(path)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			m.put = func(name string, value []byte) error {
				err := files(func(path string) error {
					if m.cells[path] == nil {
						return os.Remove(path)
					}
					return nil
				})
				for path, whole := range m.cells {
					if path == name {
						whole = value
					}
					err = errors.Join(err, os.WriteFile(path, whole, 0o600))
				}
				return err
			}
			return m
		}
	}
}

func inTable(wrap func(store.Store) store.Store) func(t *testing.T) (func() closer, func() medium) {
	return func(t *testing.T) (func() closer, func() medium) {
		ctx, table := context.Background(), new(maptable.Table)
		groups := func(do func(group string)) {
			for _, kind := range []string{"r/", "b/", "i/"} {
				for group := range table.Groups(ctx, kind) {
					do(group)
				}
			}
		}
		open := func() closer {
			s := chunked.New(table, &chunked.Options{Chunk: chunked.InlineMax})
			return around{wrap(s), s}
		}
		return open, func() medium {
			rows := make(map[string]chunked.Row)
			m := medium{cells: make(map[string][]byte)}
			groups(func(group string) {
				all, _ := table.Get(ctx, group)
				for _, r := range all {
					r.Group = group
					rows[group+" "+r.Item], m.cells[group+" "+r.Item] = r, r.Value
				}
			})
			m.put = func(name string, value []byte) (err error) {
				groups(func(group string) { err = errors.Join(err, table.Delete(ctx, group)) })
				for at, r := range rows {
					if at == name {
						r.Value = value
					}
					err = errors.Join(err, table.Put(ctx, r, chunked.Always))
				}
				return err
			}
			return m
		}
	}
}

// values is a cache such as others have.
type values struct {
	mu  sync.Mutex
	all map[string][]byte
}

func (v *values) Get(key string) ([]byte, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	b, ok := v.all[key]
	return bytes.Clone(b), ok
}

func (v *values) Set(key string, b []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.all[key] = bytes.Clone(b)
}

func (v *values) Delete(key string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.all, key)
}

func inValues(t *testing.T) (func() closer, func() medium) {
	v := &values{all: make(map[string][]byte)}
	return func() closer { return bytestore.New(v, nil) }, func() medium {
		m := medium{cells: make(map[string][]byte)}
		for key, b := range v.all {
			m.cells[key] = bytes.Clone(b)
		}
		m.put = func(name string, value []byte) error {
			v.mu.Lock()
			clear(v.all)
			v.mu.Unlock()
			for key, b := range m.cells {
				if key == name {
					b = value
				}
				v.Set(key, b)
			}
			return nil
		}
		return m
	}
}

// inSQLite alters the columns that are read on a hit, past the store; what it is found by is its name, as that of a
// file.
func inSQLite(t *testing.T) (func() closer, func() medium) {
	dir, ctx := t.TempDir(), context.Background()
	s, err := openStore("sqlite", dir)
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, s)
	return func() closer { return staysOpen{s} }, func() medium {
		db, err := sql.Open("sqlite", filepath.Join(dir, "cache.db"))
		if err != nil {
			t.Fatal(err)
		}
		db.SetMaxOpenConns(1)
		t.Cleanup(func() { db.Close() })
		exec := func(query string, args ...any) {
			if _, err := db.ExecContext(ctx, query, args...); err != nil {
				t.Fatalf("%s: %v", query, err)
			}
		}
		exec("PRAGMA busy_timeout = 5000")
		exec("CREATE TEMP TABLE kept_entries AS SELECT * FROM entries")
		exec("CREATE TEMP TABLE kept_chunks AS SELECT rowid AS at, * FROM chunks")
		m, numbers := medium{cells: make(map[string][]byte)}, make(map[string]bool)
		for _, c := range []struct{ table, row, columns string }{
			{"entries", "n", "id head body size chunks body_sum"}, {"chunks", "rowid", "data sum"},
		} {
			for column := range strings.FieldsSeq(c.columns) {
				query := fmt.Sprintf("SELECT %s, %s FROM %s WHERE %[2]s IS NOT NULL", c.row, column, c.table)
				rows, err := db.QueryContext(ctx, query)
				if err != nil {
					t.Fatal(err)
				}
				for rows.Next() {
					var n int64
					var value any
					if err := rows.Scan(&n, &value); err != nil {
						t.Fatal(err)
					}
					b, ok := value.([]byte)
					if !ok {
						b = binary.BigEndian.AppendUint64(nil, uint64(value.(int64)))
					}
					update := fmt.Sprintf("UPDATE %s SET %s = ? WHERE %s = %d", c.table, column, c.row, n)
					m.cells[update], numbers[update] = b, !ok
				}
				if err := errors.Join(rows.Err(), rows.Close()); err != nil {
					t.Fatal(err)
				}
			}
		}
		m.put = func(update string, value []byte) error {
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer tx.Rollback()
			for _, query := range []string{
				"DELETE FROM entries", "DELETE FROM chunks", "DELETE FROM loose", "INSERT INTO entries SELECT * FROM kept_entries",
				"INSERT INTO chunks (rowid, id, seq, sum, data) SELECT at, id, seq, sum, data FROM kept_chunks",
			} {
				if _, err := tx.ExecContext(ctx, query); err != nil {
					return fmt.Errorf("%s: %w", query, err)
				}
			}
			var to any = value
			if numbers[update] {
				to = int64(binary.BigEndian.Uint64(value))
			}
			if _, err := tx.ExecContext(ctx, update, to); err != nil {
				return fmt.Errorf("%s: %w", update, err)
			}
			return tx.Commit()
		}
		return m
	}
}
