package store

import (
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"testing"
	"time"
)

func headOf(url string) []byte {
	r := &Record{Key: "key", ID: NewID(time.Now())}
	r.URL = url
	return AppendHead(nil, r)
}

func TestDecoderGivesTheSameRecordForTheSameBytes(t *testing.T) {
	var d Decoder
	a, b := headOf("https://example.com/a"), headOf("https://example.com/b")
	first, err := d.Head(a)
	if err != nil {
		t.Fatal(err)
	}
	same, err := d.Head(append([]byte(nil), a...))
	if same != first || err != nil {
		t.Errorf("got another record, error %v", err)
	}
	other, err := d.Head(b)
	if err != nil || other.URL != "https://example.com/b" {
		t.Errorf("got %+v, error %v", other, err)
	}
	a[len(a)-1] ^= 1
	malformed := seal([]byte(magic + "\x01crc!"))
	for what, b := range map[string][]byte{"damaged": a, "malformed": malformed, "empty": nil} {
		for range 2 {
			if r, err := d.Head(b); !errors.Is(err, ErrCorrupt) {
				t.Errorf("a head that is %s: got %+v, %v; want ErrCorrupt", what, r, err)
			}
		}
	}
}

func TestDecoderTellsHeadsOfOneHashApart(t *testing.T) {
	var d Decoder
	a, b := headOf("https://example.com/a"), headOf("https://example.com/b")
	if _, err := d.Head(a); err != nil {
		t.Fatal(err)
	}
	d.heads[maphash.Bytes(d.seed, b)] = d.heads[maphash.Bytes(d.seed, a)]
	if r, err := d.Head(b); err != nil || r.URL != "https://example.com/b" {
		t.Errorf("got %+v, error %v", r, err)
	}
}

// The record outlives the bytes, which a store may use again.
func TestDecoderKeepsNoBytesOfItsCaller(t *testing.T) {
	var d Decoder
	b := headOf("https://example.com/a")
	r, err := d.Head(b)
	if err != nil {
		t.Fatal(err)
	}
	again := append([]byte(nil), b...)
	clear(b)
	if same, err := d.Head(again); same != r || err != nil || r.URL != "https://example.com/a" {
		t.Errorf("got %+v, error %v", r, err)
	}
}

func TestDecoderIsBounded(t *testing.T) {
	var d Decoder
	for i := range 3*maxHeads + 1 {
		if _, err := d.Head(headOf(fmt.Sprint("https://example.com/", i))); err != nil {
			t.Fatal(err)
		}
	}
	if len(d.heads) != maxHeads {
		t.Errorf("%d heads are remembered, want %d", len(d.heads), maxHeads)
	}
	long := headOf("https://example.com/" + string(make([]byte, maxHead)))
	r, err := d.Head(long)
	if err != nil || len(r.URL) < maxHead {
		t.Errorf("a long head: got %+v, error %v", r, err)
	}
	if again, err := d.Head(long); again == r || err != nil {
		t.Errorf("a long head is remembered, error %v", err)
	}
}

func TestDerivedIsSharedByCopiesWithBodies(t *testing.T) {
	var d Decoder
	b := headOf("https://example.com/a")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 100 {
				r, err := d.Head(b)
				if err != nil {
					t.Error(err)
					return
				}
				body := fmt.Sprint("body ", i)
				r = r.WithBody([]byte(body), int64(len(body)))
				if got := r.Derived(func(r *Record) any { return r.URL }); got != "https://example.com/a" || string(r.Body) != body {
					t.Errorf("derived %v, body %q", got, r.Body)
				}
			}
		})
	}
	all.Wait()
	r, err := d.Head(b)
	if err != nil {
		t.Fatal(err)
	}
	computed := false
	r.WithBody(nil, 0).Derived(func(*Record) any { computed = true; return nil })
	if computed {
		t.Error("it is computed for each copy")
	}
}
