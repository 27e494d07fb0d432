package larder

import (
	"fmt"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
)

func TestOwedRemovals(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	record := func(url string, asked time.Duration, tags ...string) *store.Record {
		return &store.Record{Tags: tags, Head: store.Head{URL: url, Requested: now.Add(asked)}}
	}
	var o owed
	has := func(r *store.Record, want bool) {
		t.Helper()
		if got := o.has(r); got != want {
			t.Errorf("%s %q, asked for at %v: owed %v, want %v", r.URL, r.Tags, r.Requested, got, want)
		}
	}
	has(record("http://a/b", -1), false)
	o.add(now, "http://a/b")
	o.add(now, "cache-group:http://a/g")
	has(record("http://a/b?q", -1), true)
	has(record("http://a/b", 1), false)
	has(record("http://a/c", -1), false)
	has(record("http://a/c", -1, "x", "cache-group:http://a/g"), true)
	for i := range maxOwed { // two more than it remembers
		o.add(now, fmt.Sprint("http://a/", i))
	}
	if len(o.since) > maxOwed {
		t.Errorf("%d are remembered", len(o.since))
	}
	has(record("http://a/0", -1), true)
	has(record("http://a/b", -1), true)
	has(record("http://other/", -1), true) // a hit less
	has(record("http://other/", 1), false)
}
