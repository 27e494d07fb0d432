package main_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestVerify damages single bytes of stored bodies and heads on the disk.
func TestVerify(t *testing.T) {
	t.Parallel()
	const all = 60
	u := newUser(t, "")
	first, dir := filepath.Join(u.home, "first.sqlite"), filepath.Join(u.home, "files")
	filledSQLite(t, first, all)
	u.cp("sqlite:"+first, "disk:"+dir)
	verify := func(store string, flags ...string) (v struct{ Whole, Damaged, Gone int }, r result) {
		t.Helper()
		r = u.run(append([]string{"verify", "--json", "--store", store}, flags...)...)
		if err := json.Unmarshal([]byte(r.out), &v); err != nil {
			t.Fatalf("code %d: %s%s", r.code, r.out, r.err)
		}
		return v, r
	}
	for _, store := range []string{"sqlite:" + first, "disk:" + dir} {
		if v, r := verify(store); r.code != 0 || v.Whole != all || v.Damaged != 0 {
			t.Errorf("%s: code %d, %+v", store, r.code, v)
		}
	}
	damaged := 0
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || damaged == 5 {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil || len(b) < 1500 || !bytes.Contains(b, []byte("example")) {
			return err
		}
		damaged++
		b[len(b)-3] ^= 1
		return os.WriteFile(path, b, 0o600)
	})
	if err != nil || damaged != 5 {
		t.Fatalf("%d files damaged, %v", damaged, err)
	}
	for _, flags := range [][]string{nil, nil, {"--remove"}} { // the first two leave it
		v, r := verify("disk:"+dir, flags...)
		if r.code != 1 || v.Damaged != damaged || v.Whole != all-damaged || strings.Count(r.err, "\n") != damaged {
			t.Errorf("%q: code %d, %+v, it says\n%s", flags, r.code, v, r.err)
		}
	}
	if v, r := verify("disk:" + dir); r.code != 0 || v.Whole != all-damaged || v.Damaged != 0 {
		t.Errorf("after --remove: code %d, %+v", r.code, v)
	}
	if out := u.run("verify", "--store", "disk:"+dir, "--host", "h1.example").out; !strings.HasPrefix(out, "whole      ") {
		t.Errorf("it says %s", out)
	}
}
