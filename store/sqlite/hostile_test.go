package sqlite

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

// TestNamesThatAreNoIDs puts into the table of loose chunks what is no ID, as one altered bit does that makes a text of
// a blob: nobody tries for ever to remove it.
func TestNamesThatAreNoIDs(t *testing.T) {
	for _, name := range []string{"'sixteen letters.'", "x'00112233445566778899aabbccddeeff00'", "x''", "7"} {
		t.Run(name, func(t *testing.T) {
			path := temp(t)
			s, err := Open(path, &Options{MaxBytes: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			if err := alter(filepath.Dir(path), `INSERT INTO loose VALUES (`+name+`, 0, 0)`); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() {
				_, err := s.Sweep(ctx, time.Now())
				for i := range 50 { // twice what there is room for
					r := newRecord(fmt.Sprint("key", i), time.Now())
					err = errors.Join(err, put(s, r, bodyOf(r.ID, 40_000)))
				}
				ended <- errors.Join(err, s.Close())
			}()
			select {
			case err := <-ended:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("it does not end")
			}
		})
	}
}
