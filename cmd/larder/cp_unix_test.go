//go:build unix

package main_test

import (
	"bytes"
	"maps"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/disk"
)

// TestCopyInterrupted presses Ctrl-C amid larder cp: what is in the other store then is whole, the second run copies
// the rest alone, and both together are the first store, byte for byte.
func TestCopyInterrupted(t *testing.T) {
	t.Parallel()
	const all, some = 400, 20
	u := newUser(t, "")
	first, dir := filepath.Join(u.home, "first.sqlite"), filepath.Join(u.home, "files")
	want := filledSQLite(t, first, all)
	files, err := disk.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()

	cmd := u.command("cp", "--json", "sqlite:"+first, "disk:"+dir)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for late := time.After(20 * time.Second); listed(t, files) < some; {
		select {
		case <-late:
			t.Fatalf("%d responses are not there in time", some)
		case <-time.After(time.Millisecond):
		}
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 || errs.String() != "larder: interrupted\n" {
		t.Errorf("interrupted: exit code %d, %s", code, errs.String())
	}
	var before copied
	decode(t, out.String(), &before)
	there := contentsOf(t, files)
	if len(there) < some || len(there) == all {
		t.Fatalf("interrupted after %d of %d responses, so not in the middle", len(there), all)
	}
	if before.Copied > len(there) || before.Copied < len(there)-8 { // as many are copied at once, and may end uncounted
		t.Errorf("there are %d responses, and it tells of %+v", len(there), before)
	}
	part := maps.Clone(want)
	maps.DeleteFunc(part, func(id store.ID, _ [2]string) bool { _, ok := there[id]; return !ok })
	same(t, "interrupted", there, part)

	if c, code := u.cp("sqlite:"+first, "disk:"+dir); code != 0 || c.Copied != all-len(there) || c.Present != len(there) || c.Failed+c.Damaged > 0 {
		t.Errorf("again, with %d there: code %d, %+v", len(there), code, c)
	}
	same(t, "again", contentsOf(t, files), want)
}

// listed counts what a store lists.
func listed(t *testing.T, s store.Finder) (n int) {
	t.Helper()
	for _, err := range s.Find(t.Context(), store.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}
