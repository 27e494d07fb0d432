package chunked

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
)

// FuzzDecode gives values to decode that a database may return: none of them must be taken for what it is not, or harm.
func FuzzDecode(f *testing.F) {
	for _, body := range []string{"", "hello"} {
		r := &store.Record{Key: "key", ID: store.NewID(time.Unix(1, 0)), Size: int64(len(body))}
		row, err := recordRow("digest", r, []byte(body), time.UnixMilli(99))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(row.Value)
	}
	f.Add([]byte(recordMagic))
	f.Add([]byte(recordMagic + "00000000\xff\xff\xff\xff0000"))
	f.Fuzz(func(t *testing.T, value []byte) {
		r, until, err := decode(value, store.DecodeHead)
		if err != nil {
			if !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("%v does not wrap ErrCorrupt", err)
			}
			return
		}
		row, err := recordRow("digest", r, r.Body, until)
		if err != nil {
			t.Fatal(err)
		}
		again, sameUntil, err := decode(row.Value, store.DecodeHead)
		if err != nil || again.Key != r.Key || again.ID != r.ID || !bytes.Equal(again.Body, r.Body) || !until.Equal(sameUntil) {
			t.Errorf("encoded and decoded again: %v", err)
		}
	})
}
