package bolt

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/storetest"
)

// opened is a store that closes its file.
type opened struct {
	*Store
	close func() error
}

func (o opened) Close() error { return o.close() }

func TestContract(t *testing.T) {
	var files sync.Map // by folder
	damage := func(dir string, bucket, key []byte) error {
		db, _ := files.Load(dir)
		return db.(*bbolt.DB).Update(func(tx *bbolt.Tx) error {
			v := append([]byte(nil), tx.Bucket(bucket).Get(key)...)
			if len(v) == 0 {
				return fmt.Errorf("there is no %x in %s", key, bucket)
			}
			v[len(v)/2] ^= 1
			return tx.Bucket(bucket).Put(key, v)
		})
	}
	storetest.Run(t, storetest.Kit{
		Open: func(dir string) (store.Store, error) {
			// A cache can begin anew after a power cut; with NoSync false each Commit waits for the disk.
			db, err := bbolt.Open(filepath.Join(dir, "cache.db"), 0o600, &bbolt.Options{NoSync: true})
			if err != nil {
				return nil, err
			}
			files.Store(dir, db)
			s, err := New(db)
			return opened{s, db.Close}, err
		},
		Persistent: true,
		DamageHead: func(dir string, r *store.Record) error { return damage(dir, records, recordKey(r.Key, r.ID)) },
		DamageBody: func(dir string, r *store.Record) error {
			return damage(dir, bodies, pieceKey(recordKey(r.Key, r.ID), 0))
		},
	})
}

func TestAFileThatFailsIsNotEmpty(t *testing.T) {
	db, err := bbolt.Open(filepath.Join(t.TempDir(), "cache.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(db)
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	r := &store.Record{Key: "a", ID: store.NewID(time.Now()), Size: 10}
	for what, do := range map[string]func() error{
		"Lookup": func() error { _, err := s.Lookup(t.Context(), "a"); return err },
		"Open":   func() error { _, err := s.Open(t.Context(), r); return err },
		"Delete": func() error { return s.Delete(t.Context(), "a") },
		"Find": func() (err error) {
			for _, err = range s.Find(t.Context(), store.Query{}) {
			}
			return err
		},
	} {
		if err := do(); !errors.Is(err, bbolterrors.ErrDatabaseNotOpen) {
			t.Errorf("%s of a closed file: %v, want %v", what, err, bbolterrors.ErrDatabaseNotOpen)
		}
	}
}
