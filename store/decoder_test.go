package store

import (
	"fmt"
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
	if r, err := d.Head(a); err == nil {
		t.Errorf("a damaged head: got %+v", r)
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
	for i := range 3 * maxHeads {
		if _, err := d.Head(headOf(fmt.Sprint("https://example.com/", i))); err != nil {
			t.Fatal(err)
		}
	}
	if len(d.heads) != maxHeads {
		t.Errorf("%d heads are remembered, want %d", len(d.heads), maxHeads)
	}
	long := headOf("https://example.com/" + string(make([]byte, maxHead)))
	if r, err := d.Head(long); err != nil || len(r.URL) < maxHead || len(d.heads) != maxHeads {
		t.Errorf("a long head: error %v, %d remembered", err, len(d.heads))
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
