package disk

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
)

// Readers behind the one who fetches read back what was taken, also when no more can be.
func TestWhatWasTakenIsReadBackAfterAWriteThatFails(t *testing.T) {
	s, err := Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	body := make([]byte, 3*blockSize)
	rand.NewChaCha8([32]byte{}).Read(body)
	created, err := s.Create(t.Context(), &store.Record{Key: "key", ID: store.NewID(time.Now()), Size: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer created.Close()
	w := created.(*writer)
	taken, err := w.Write(body[:blockSize+1000])
	if err != nil {
		t.Fatal(err)
	}
	writable := w.file
	defer writable.Close()
	if w.file, err = w.place.fan.Open(w.place.body(w.id)); err != nil { // which can only be read
		t.Fatal(err)
	}
	n, err := w.Write(body[taken:])
	if err == nil {
		t.Fatal("a file was written that can only be read")
	}
	taken += n
	got := make([]byte, taken)
	if n, err := w.ReadAt(got, 0); err != nil || !bytes.Equal(got, body[:taken]) {
		t.Errorf("%d of %d bytes read back, or wrong ones: %v", n, taken, err)
	}
}
