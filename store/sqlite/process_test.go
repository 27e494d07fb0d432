package sqlite

import (
	"bufio"
	"bytes"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	driver "modernc.org/sqlite"

	"github.com/larder-go/larder/store"
)

var soak = flag.Duration("soak", time.Second, "how long TestTwoProcesses runs")

// The test binary, started with these in its environment, is the other process.
const (
	envRole = "LARDER_SQLITE_TEST_ROLE"
	envPath = "LARDER_SQLITE_TEST_PATH"
)

func TestMain(m *testing.M) {
	flag.Parse()
	var err error
	switch os.Getenv(envRole) {
	case "":
		os.Exit(m.Run())
	case "work":
		err = work(os.Getenv(envPath), *soak)
	case "write":
		err = writeForever(os.Getenv(envPath))
	case "overfill":
		err = overfill(os.Getenv(envPath), 1<<20, 3, 1000, 100_000, 100_000)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func child(role, path string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], "-soak", soak.String())
	cmd.Env = append(os.Environ(), envRole+"="+role, envPath+"="+path)
	cmd.Stderr = os.Stderr
	return cmd
}

// runTwo runs two children that open the new file at once.
func runTwo(t *testing.T, role, path string) {
	t.Helper()
	cmds := []*exec.Cmd{child(role, path), child(role, path)}
	for _, cmd := range cmds {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	}
	for _, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
}

func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	path := temp(t)
	runTwo(t, "work", path)
	if got := ask(t, path, "PRAGMA integrity_check"); got != "ok" {
		t.Errorf("integrity_check: %s", got)
	}
	s := mustOpen(t, path, nil)
	n := 0
	for r, err := range s.Find(ctx, store.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		body, err := readBody(s, r)
		if r.Size > 0 && len(body) == 0 && err == nil {
			body, err = readOpened(s, r)
		}
		if err != nil || !bytes.Equal(body, bodyOf(r.ID, int(r.Size))) {
			t.Fatalf("record %v: %d bytes, %v; want %d", r.ID, len(body), err, r.Size)
		}
		n++
	}
	if n == 0 {
		t.Error("nothing is left of all that was written")
	}
	if got := ask(t, path, "SELECT count(*) FROM tags WHERE entry NOT IN (SELECT n FROM entries)"); got != "0" {
		t.Errorf("%s tags of no entry", got)
	}
}

func readOpened(s *Store, r *store.Record) ([]byte, error) {
	b, err := s.Open(ctx, r)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return io.ReadAll(b)
}

// work does all there is to do with eight goroutines, on few keys and against the limit, and allows of no error
// but that something is gone, and of no wrong byte.
func work(path string, d time.Duration) error {
	s, err := Open(path, &Options{MaxBytes: 8 << 20})
	if err != nil {
		return err
	}
	errs := make(chan error, 8)
	var wg sync.WaitGroup
	end := time.Now().Add(d)
	for g := range 8 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(os.Getpid()), uint64(g)))
			for time.Now().Before(end) {
				if err := step(s, rnd); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		return err
	}
	return s.Close()
}

func step(s *Store, rnd *rand.Rand) error {
	key := fmt.Sprint("key", rnd.IntN(50))
	found, err := s.Lookup(ctx, store.Key(key))
	if err != nil {
		return err
	}
	switch op := rnd.IntN(100); {
	case op < 40:
		for _, r := range found {
			body, err := readBody(s, r)
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if !bytes.Equal(body, bodyOf(r.ID, int(r.Size))) {
				return fmt.Errorf("wrong bytes in %v", r.ID)
			}
		}
	case op < 80:
		r := newRecord(key, time.Now())
		if op%2 == 0 {
			r.Tags = []string{"a", key}
		}
		var superseded []store.ID
		for _, f := range found {
			superseded = append(superseded, f.ID)
		}
		return put(s, r, bodyOf(r.ID, []int{0, 1000, 20_000, 300_000}[rnd.IntN(4)]), superseded...)
	case op < 90:
		for _, r := range found {
			r = r.Clone()
			r.Tags = []string{"b"}
			if err := s.Update(ctx, r); err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
	case op < 96:
		return s.Delete(ctx, store.Key(key))
	case op < 98:
		for _, err := range s.Find(ctx, store.Query{Tag: "a"}) {
			if err != nil {
				return err
			}
		}
	default:
		_, err := s.Sweep(ctx, time.Now())
		return err
	}
	return nil
}

func TestKilledWriterLeavesNothingHalf(t *testing.T) {
	t.Parallel()
	path := temp(t)
	for range 5 {
		cmd := child("write", path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		committed := make(map[string]bool)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			committed[lines.Text()] = true
			if len(committed) == 20 {
				cmd.Process.Kill()
			}
		}
		cmd.Wait() // was killed
		if len(committed) < 20 {
			t.Fatalf("the child has committed %d records only", len(committed))
		}
		s, err := Open(path, &Options{FailDamaged: true})
		if err != nil {
			t.Fatal(err)
		}
		for r, err := range s.Find(ctx, store.Query{}) {
			if err != nil {
				t.Fatal(err)
			}
			body, err := readOpened(s, r)
			if err != nil || !bytes.Equal(body, bodyOf(r.ID, int(r.Size))) {
				t.Fatalf("record %v: %d bytes, %v; want %d", r.ID, len(body), err, r.Size)
			}
			delete(committed, string(r.Key))
		}
		if len(committed) > 0 {
			t.Errorf("committed, but not there: %v", committed)
		}
		if _, err := s.Sweep(ctx, time.Now().Add(time.Hour+time.Minute)); err != nil { // newRecord's last two hours
			t.Fatal(err)
		}
		if got := ask(t, path, "SELECT count(*) FROM chunks WHERE id NOT IN (SELECT id FROM entries)"); got != "0" {
			t.Errorf("%s chunks of dead writes after Sweep", got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// writeForever prints the key of each record that is committed.
func writeForever(path string) error {
	s, err := Open(path, nil)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		r := newRecord(fmt.Sprint(os.Getpid(), "-", i), time.Now())
		if err := put(s, r, bodyOf(r.ID, i%3*200_000+100)); err != nil {
			return err
		}
		fmt.Println(r.Key)
	}
}

func TestWritesWaitForAnotherProcessTogether(t *testing.T) {
	path := temp(t)
	s, other := mustOpen(t, path, nil), mustOpen(t, path, nil)
	if err := s.writer.pragmas("busy_timeout = 300"); err != nil {
		t.Fatal(err)
	}
	if _, err := other.writer.exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	const writes = 8
	var all sync.WaitGroup
	var waits sync.Map // the errors of those that have waited
	for i := range writes {
		all.Go(func() {
			err := put(s, newRecord(fmt.Sprint("key", i), time.Now()), nil)
			var fault *driver.Error
			if resultCode(err) != codeBusy || !errors.As(err, &fault) {
				t.Errorf("a write while the file is locked: %v", err)
			}
			waits.Store(fault, true)
		})
	}
	all.Wait()
	if n := len(maps.Collect(waits.Range)); n > writes/2 {
		t.Errorf("%d of %d writes waited, one after the other", n, writes)
	}
	if _, err := other.writer.exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, "key", nil)
}

// A store with one connection reads by the one that writes.
func TestReadsDoNotFailWithAWriteThatWaited(t *testing.T) {
	path := temp(t)
	db := sql.OpenDB(foreign(path))
	defer db.Close()
	db.SetMaxOpenConns(1)
	s, err := New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := mustPut(t, s, "key", nil)
	s.mu.Lock()
	s.locked.at, s.locked.err = time.Now().Add(time.Hour), errors.New("database is locked") // as if all from here on had waited
	s.mu.Unlock()
	if err := put(s, newRecord("key", time.Now()), nil); err == nil {
		t.Error("a write that waited: no error")
	}
	err = s.read(ctx, func(c *conn) error { return c.row("SELECT 1", nil, []any{new(int)}) })
	if err != nil {
		t.Errorf("a read that waited: %v", err)
	}
	if found, err := s.Lookup(ctx, r.Key); len(found) != 1 || err != nil {
		t.Errorf("Lookup: %d records, %v", len(found), err)
	}
}
