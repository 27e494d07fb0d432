package disk_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/disk"
	"github.com/larder-go/larder/store/storetest"
)

var (
	_ store.Store   = (*disk.Store)(nil)
	_ store.Finder  = (*disk.Store)(nil)
	_ store.Sweeper = (*disk.Store)(nil)
	_ store.Sizer   = (*disk.Store)(nil)
	_ store.Local   = (*disk.Store)(nil)
)

var kit = storetest.Kit{
	Open:       func(dir string) (store.Store, error) { return disk.Open(dir, nil) },
	Persistent: true,
	Shared:     true,
	OpenLimited: func(dir string, limit int64) (store.Store, error) {
		return disk.Open(dir, &disk.Options{MaxBytes: limit})
	},
	DamageHead: func(dir string, r *store.Record) error { return flip(dir, r.ID.String()+"*.head", 60) },
	DamageBody: func(dir string, r *store.Record) error { return flip(dir, r.ID.String()+".body", 70_000) },
}

func TestContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, kit)
}

// flip inverts one byte of the only file of that name.
func flip(dir, name string, at int64) error {
	paths, err := filepath.Glob(filepath.Join(dir, "v1", "*", "*", name))
	if err != nil || len(paths) != 1 {
		return os.ErrNotExist
	}
	f, err := os.OpenFile(paths[0], os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		return err
	}
	b[0] ^= 0xff
	_, err = f.WriteAt(b[:], at)
	return err
}
