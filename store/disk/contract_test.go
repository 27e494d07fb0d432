package disk_test

import (
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
	DamageHead: func(dir string, r *store.Record) error {
		paths := []string{filepath.Join(dir, "v1", "?", firstName(r.Key))} // the only record of its key,
		for _, name := range []string{".head", "-*.head"} {                // or one in the folder, or updated
			paths = append(paths, filepath.Join(dir, "v1", "?", "*", r.ID.String()+name))
		}
		return flipLast(60, paths...)
	},
	DamageBody: func(dir string, r *store.Record) error {
		return flipLast(70_000, filepath.Join(dir, "v1", "?", "*-"+r.ID.String()+".body"))
	},
}

// flipLast inverts one byte of the last file that matches.
func flipLast(at int64, patterns ...string) error {
	last := ""
	for _, pattern := range patterns {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		if len(paths) > 0 {
			last = paths[len(paths)-1]
		}
	}
	return flip(last, at)
}

func TestContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, kit)
}
