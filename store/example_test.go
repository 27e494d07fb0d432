package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"time"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/memory"
)

// A record and its body are stored, found, read, freshened and removed.
func ExampleStore() {
	ctx := context.Background()
	var s store.Store = new(memory.Store)

	r := &store.Record{Key: "key", ID: store.NewID(time.Now()), Size: -1} // the size is not known yet
	r.Status, r.Header = http.StatusOK, http.Header{"Etag": {`"1"`}}
	w, err := s.Create(ctx, r)
	if err != nil {
		log.Fatal(err)
	}
	n, err := io.WriteString(w, "hello")
	if err != nil {
		log.Fatal(err)
	}
	r.Size = int64(n)
	if err := w.Commit(r); err != nil {
		log.Fatal(err)
	}
	w.Close() // discards what was not committed

	found, err := s.Lookup(ctx, "key")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(found), found[0].Status, found[0].Size)

	fresh := found[0].Clone() // what was found is read-only
	fresh.Header = http.Header{"Etag": {`"1"`}, "Age": {"0"}}
	fmt.Println(s.Update(ctx, fresh))

	fmt.Println(s.Delete(ctx, "key"))
	fmt.Println(errors.Is(s.Update(ctx, fresh), store.ErrNotFound))
	// Output:
	// 1 200 5
	// <nil>
	// <nil>
	// true
}

// The head is what a store keeps of a record beside the body; docs/format.md describes the bytes.
func ExampleAppendHead() {
	r := &store.Record{Key: "key", ID: store.NewID(time.Now()), Tags: []string{"news"}}
	r.URL, r.Status = "https://example.com/", http.StatusOK

	b := store.AppendHead(nil, r)
	same, err := store.DecodeHead(b)
	fmt.Println(same.URL, same.Status, same.Tags, err)

	b[10] ^= 1
	_, err = store.DecodeHead(b)
	fmt.Println(errors.Is(err, store.ErrCorrupt))
	// Output:
	// https://example.com/ 200 [news] <nil>
	// true
}

// A Finder hands on the records for which Match is true.
func ExampleQuery_Match() {
	r := &store.Record{Key: "key", Tags: []string{"news"}}
	r.URL = "https://api.example.com/v1/things"
	for _, q := range []store.Query{{}, {Host: "api.example.com"}, {Prefix: "https://api.example.com/v2/"}, {Tag: "news"}} {
		fmt.Println(q.Match(r))
	}
	// Output:
	// true
	// true
	// false
	// true
}

// IDs sort by the time they were made.
func ExampleID_Time() {
	id := store.NewID(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
	same, err := store.ParseID(id.String())
	fmt.Println(same == id, err, id.Time().UTC())
	// Output: true <nil> 2026-11-23 12:00:00 +0000 UTC
}

// A key may be long and hold any byte; its digest names a file or a row.
func ExampleKey_Digest() {
	fmt.Printf("%x\n", store.Key("a key\x00of any length").Digest())
	// Output: a6d27293e1668744e67a94f0e32632af248727cf3f53fda07e298e7a824d7640
}

func ExampleHost() {
	fmt.Println(store.Host("https://api.example.com:8443/v1/things"))
	// Output: api.example.com:8443
}

// What is worked out from a record is kept with it, for those that a store keeps in memory.
func ExampleRecord_Derived() {
	r := &store.Record{Key: "key"}
	r.URL = "https://example.com/"
	length := func(r *store.Record) any { fmt.Println("once"); return len(r.URL) }
	fmt.Println(r.Derived(length), r.Derived(length))
	// Output:
	// once
	// 20 20
}
