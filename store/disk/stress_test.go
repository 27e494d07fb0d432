package disk_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/disk"
)

var duration = flag.Duration("stress.duration", time.Second, "how long each stress test runs")

const (
	stressLimit = 4 << 20
	writers     = 8
	stressEnv   = "LARDER_DISK_STRESS" // a duration, for a test binary that is to be one of several processes
)

func TestMain(m *testing.M) {
	if d, err := time.ParseDuration(os.Getenv(stressEnv)); err == nil {
		s, err := disk.Open(os.Args[1], &disk.Options{MaxBytes: stressLimit})
		if err == nil {
			fmt.Println("ready")
			err = errors.Join(stress(s, d), s.Close())
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// stress has several goroutines do everything at once to few keys. The only error that may come is that
// something is not there, or that all room is taken by what is being written, and every byte has to be right.
func stress(s *disk.Store, d time.Duration) error {
	end := time.Now().Add(d)
	errs := make([]error, writers)
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			for errs[i] == nil && time.Now().Before(end) {
				errs[i] = act(s, store.Key(fmt.Sprint("https://example.com/", rand.IntN(40))))
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func act(s *disk.Store, key store.Key) error {
	ctx := context.Background()
	found, err := s.Lookup(ctx, key)
	if err != nil {
		return err
	}
	for _, r := range found {
		if err := verify(s, r); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	switch n := rand.IntN(100); {
	case n < 50:
		size := rand.IntN(60_000)
		if rand.IntN(4) == 0 {
			size = rand.IntN(600_000)
		}
		var old []store.ID
		if rand.IntN(4) > 0 {
			old = ids(found)
		}
		if _, err := try(s, key, size, old...); !errors.Is(err, store.ErrTooLarge) {
			return err
		}
	case n < 80 && len(found) > 0:
		r := found[0].Clone()
		r.Status++
		if err := s.Update(ctx, r); !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrTooLarge) {
			return err
		}
	case n < 85:
		return s.Delete(ctx, key)
	case n < 90 && len(found) > 0:
		return s.Delete(ctx, key, found[0].ID)
	case n == 90:
		_, err := s.Sweep(ctx, time.Now())
		return err
	case n == 91:
		for _, err := range s.Find(ctx, store.Query{}) {
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func TestTwoStoresOnOneDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var all sync.WaitGroup
	for range 2 {
		s, err := disk.Open(dir, &disk.Options{MaxBytes: stressLimit})
		must(t, err)
		defer s.Close()
		all.Go(func() {
			if err := stress(s, *duration); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	inspect(t, dir, false)
}

func TestTwoProcessesOnOneDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var all sync.WaitGroup
	for range 2 {
		cmd := process(t, dir, *duration)
		all.Go(func() {
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	ended := make(chan struct{})
	go func() {
		all.Wait()
		close(ended)
	}()
	most, looks := int64(0), 0
	for before := map[string]os.FileInfo(nil); ; looks++ {
		now := lookAt(t, dir)
		took := takenAtOnce(before, now)
		if most, before = max(most, took), now; took > stressLimit {
			t.Errorf("the files take %d bytes, the limit is %d", took, stressLimit)
		}
		select {
		case <-ended:
			t.Logf("at most %d of %d bytes in %d looks", most, stressLimit, looks)
			inspect(t, dir, false)
			return
		default:
		}
	}
}

// lookAt returns the files of records, and of writes under way, by their paths.
func lookAt(t *testing.T, dir string) map[string]os.FileInfo {
	all := make(map[string]os.FileInfo)
	for _, path := range files(t, dir, "*") {
		if info, err := os.Lstat(path); err == nil && !info.IsDir() {
			all[path] = info
		}
	}
	return all
}

// takenAtOnce returns what was taken at the moment between two looks, at least, by what is seen in both: no more of it
// than was in the first, since files only grow.
func takenAtOnce(before, now map[string]os.FileInfo) (sum int64) {
	for path, info := range before {
		later, ok := now[path]
		if !ok || !os.SameFile(info, later) || later.Size() < info.Size() {
			continue
		}
		if first, ok := before[firstBeside(path)]; ok && os.SameFile(first, info) {
			continue // has both names just now
		}
		sum += taken(path, info)
	}
	return sum
}

func TestKilledProcessesLeaveNothingHalf(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for end := time.Now().Add(*duration); time.Now().Before(end); {
		cmd := process(t, dir, time.Hour)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		line := make([]byte, 64)
		n, _ := out.Read(line)
		if !strings.HasPrefix(string(line[:n]), "ready") {
			t.Fatalf("the process says %q", line[:n])
		}
		timer := time.AfterFunc(time.Duration(rand.Int64N(int64(100*time.Millisecond))), func() { cmd.Process.Kill() })
		n, _ = out.Read(line)
		cmd.Wait()
		if timer.Stop() || n > 0 {
			t.Fatalf("the process ended by itself: %s", line[:n])
		}
		whole(t, dir)
	}
	inspect(t, dir, true)
}

func process(t *testing.T, dir string, d time.Duration) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self, dir)
	cmd.Env = append(os.Environ(), stressEnv+"="+d.String())
	return cmd
}

// whole reads everything that a new store sees.
func whole(t *testing.T, dir string) {
	t.Helper()
	s, err := disk.Open(dir, &disk.Options{MaxBytes: stressLimit})
	must(t, err)
	defer s.Close()
	n := 0
	for r, err := range s.Find(t.Context(), store.Query{}) {
		must(t, err)
		must(t, verify(s, r))
		n++
	}
	t.Logf("%d records are whole", n)
}

// inspect looks at a directory at rest: all is whole, the ledger is right, and nothing is left over but what a killed
// writer could not remove or count down, which Sweep does.
func inspect(t *testing.T, dir string, killed bool) {
	t.Helper()
	whole(t, dir)
	past := time.Now().Add(-2 * time.Hour)
	ledgers, err := filepath.Glob(filepath.Join(dir, "v1", "usage-*"))
	must(t, err)
	for _, path := range ledgers {
		must(t, os.Chtimes(path, past, past)) // no process is at work
	}
	s, err := disk.Open(dir, &disk.Options{MaxBytes: stressLimit})
	must(t, err)
	defer s.Close()
	before, bytesBefore, _ := s.Size(t.Context())
	if got := onDisk(t, dir); got > bytesBefore || got < bytesBefore && !killed || got > stressLimit {
		t.Errorf("%d bytes on the disk, the ledger says %d, the limit is %d", got, bytesBefore, stressLimit)
	}
	for _, path := range files(t, dir, "*") {
		must(t, os.Chtimes(path, past, past))
	}
	removed, err := s.Sweep(t.Context(), time.Now())
	must(t, err)
	n, bytes, _ := s.Size(t.Context())
	t.Logf("the ledger said %d records, %d bytes; there are %d, %d", before, bytesBefore, n+removed, bytes)
	if got := onDisk(t, dir); got != bytes {
		t.Errorf("%d bytes on the disk, the ledger says %d", got, bytes)
	}
	records := map[string]bool{} // place and ID
	for r, err := range s.Find(t.Context(), store.Query{}) {
		must(t, err)
		records[fmt.Sprintf("%x %s", r.Key.Digest(), r.ID)] = true
		found := false
		for byURL, err := range s.Find(t.Context(), store.Query{URL: r.URL}) {
			must(t, err)
			found = found || byURL.ID == r.ID
		}
		if !found {
			t.Errorf("%v is not found by its URL", r.ID)
		}
	}
	for _, path := range files(t, dir, "*") {
		if place, id := owner(t, path); !records[place+" "+id] {
			t.Errorf("left over: %s", path)
		}
	}
	if len(records) != n {
		t.Errorf("%d records on the disk, Size says %d", len(records), n)
	}
}

// owner tells from its name, or what is in it, to which record a file belongs.
func owner(t *testing.T, path string) (place, id string) {
	name := filepath.Base(path)
	switch {
	case inFolder(path):
		return filepath.Base(filepath.Dir(path)), name[:32]
	case len(name) == 64+len(".head"):
		b, err := os.ReadFile(path)
		must(t, err)
		return name[:64], fmt.Sprintf("%x", b[24:40])
	}
	return name[:64], name[65:min(97, len(name))]
}

// TestRemovalsTakeNoOther shows that of several that remove the first record of a key, one at a time, none takes the
// next one that gets its name.
func TestRemovalsTakeNoOther(t *testing.T) {
	s, dir := open(t, nil)
	other, err := disk.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for range 300 {
		r := put(t, s, "key", 10)
		removed := make(chan error, 8)
		for i := range cap(removed) {
			go func() { removed <- []*disk.Store{s, other}[i%2].Delete(t.Context(), r.Key, r.ID) }()
		}
		err := <-removed
		next := put(t, s, "key", 10)
		for range cap(removed) - 1 {
			err = errors.Join(err, <-removed)
		}
		must(t, err)
		lookup(t, s, next.Key, next)
		must(t, s.Delete(t.Context(), next.Key))
	}
}
