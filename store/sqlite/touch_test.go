package sqlite

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
)

func TestLeastRecentlyUsedGoFirst(t *testing.T) {
	for _, c := range []struct {
		name     string
		evicting bool // already, so that the writers have to see to the limit themselves
	}{
		{"in the background", false},
		{"by the writers", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := mustOpen(t, temp(t), &Options{MaxBytes: 1 << 20})
			s.evicting.Store(c.evicting)
			for i := range 20 {
				mustPut(t, s, fmt.Sprint("key", i), make([]byte, 20_000))
			}
			if _, err := s.writer.exec(`UPDATE entries SET n = n - 60000000`); err != nil {
				t.Fatal(err)
			}
			for i := range 10 {
				if found, err := s.Lookup(ctx, store.Key(fmt.Sprint("key", i))); len(found) != 1 || err != nil {
					t.Fatalf("%d found, %v", len(found), err)
				}
			}
			for i := range 35 {
				mustPut(t, s, fmt.Sprint("more", i), make([]byte, 20_000))
			}
			if _, err := s.Sweep(ctx, time.Now()); err != nil {
				t.Fatal(err)
			}
			used, unused := 0, 0
			for i := range 20 {
				found, err := s.Lookup(ctx, store.Key(fmt.Sprint("key", i)))
				if err != nil {
					t.Fatal(err)
				}
				if i < 10 {
					used += len(found)
				} else {
					unused += len(found)
				}
			}
			if used < 10 && unused > 0 || unused == 10 || used == 0 {
				t.Errorf("%d of 10 that were used and %d of 10 that were not are left", used, unused)
			}
		})
	}
}

// Whatever was used and whatever was not, in whatever order: the entries go by when that was last.
func TestUsedAndUnusedGoInOneOrder(t *testing.T) {
	for _, c := range []struct{ name, lastUsed string }{ // of the entries numbered 1 to 3000, stored a second apart
		{"none was used", "NULL"},
		{"all were used", "n / 1000 + n / 1000000 * 7919 % 10000000"},
		{"those stored first were used, lately", "CASE WHEN n <= 2800 * 1000000 THEN 9000000 + n / 1000000 * 7919 % 1000000 END"},
		{"those stored last were used", "CASE WHEN n > 200 * 1000000 THEN n / 1000 + 1 END"},
		{"some were", "CASE WHEN n / 1000000 * 7919 % 10 < 5 THEN n / 1000 + n / 1000000 * 7907 % 1000000 END"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := mustOpen(t, temp(t), nil)
			mustPut(t, s, "key", nil)
			for _, q := range []string{
				`CREATE TABLE model AS SELECT * FROM entries`,
				`DELETE FROM entries`,
				`INSERT INTO entries SELECT value * 1000000, value, id, url, host, method, status, received, fresh_until, keep_until,
					last_used, size, chunks, bytes, tags, body_sum, head, body FROM model,
					(WITH RECURSIVE c(value) AS (VALUES (1) UNION ALL SELECT value + 1 FROM c WHERE value < 3000) SELECT value FROM c)`,
				`UPDATE entries SET last_used = ` + c.lastUsed,
			} {
				if _, err := s.writer.exec(q); err != nil {
					t.Fatal(err)
				}
			}
			last, removed := int64(0), 0
			for more := true; more; {
				oldest, further, err := s.leastUsed(s.writer)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range oldest {
					if e.lastUsed < last {
						t.Fatalf("number %d, last used at %d, goes after one of %d", e.n/1000000, e.lastUsed, last)
					}
					last = e.lastUsed
					if _, err := s.writer.exec(`DELETE FROM entries WHERE n = ?`, e.n); err != nil {
						t.Fatal(err)
					}
				}
				removed += len(oldest)
				more = further || len(oldest) > 0
			}
			if removed != 3000 {
				t.Errorf("%d went, want 3000", removed)
			}
		})
	}
}

func TestHitsWriteNothing(t *testing.T) {
	path := temp(t)
	s := mustOpen(t, path, nil)
	for i := range 100 {
		mustPut(t, s, fmt.Sprint("key", i), make([]byte, 1000*i))
	}
	state := func() string {
		var all string
		for _, suffix := range []string{"", "-wal"} {
			info, err := os.Stat(path + suffix)
			if err != nil {
				t.Fatal(err)
			}
			all += fmt.Sprint(info.Size(), info.ModTime(), " ")
		}
		return all
	}
	before := state()
	for i := range 300 {
		found, err := s.Lookup(ctx, store.Key(fmt.Sprint("key", i%100)))
		if len(found) != 1 || err != nil {
			t.Fatalf("%d found, %v", len(found), err)
		}
		if _, err := readBody(s, found[0]); err != nil {
			t.Fatal(err)
		}
	}
	if after := state(); after != before {
		t.Errorf("the files were %s, and are %s", before, after)
	}
}

func TestUseIsWrittenDownAtClose(t *testing.T) {
	path := temp(t)
	s, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, "key", []byte("body"))
	if err := alter(dirOf(path), "UPDATE entries SET last_used = 7"); err != nil {
		t.Fatal(err)
	}
	if found, err := s.Lookup(ctx, "key"); len(found) != 1 || err != nil {
		t.Fatalf("%d found, %v", len(found), err)
	}
	if got := ask(t, path, "SELECT last_used FROM entries"); got != "7" {
		t.Errorf("last_used is %s after a hit, want 7 still", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, path, "SELECT last_used > 7 FROM entries"); got != "1" {
		t.Error("last_used is 7 after Close still")
	}
}

// Two processes may store something in the same microsecond.
func TestTakenNumberIsNoFault(t *testing.T) {
	s := mustOpen(t, temp(t), nil)
	mustPut(t, s, "a", nil)
	s.writer.stored += 3_600_000_000
	mustPut(t, s, "b", nil)
	s.writer.stored--
	mustPut(t, s, "c", nil)
	if n, _, err := s.Size(ctx); n != 3 || err != nil {
		t.Errorf("%d records, %v; want 3", n, err)
	}
}
