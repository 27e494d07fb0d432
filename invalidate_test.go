package larder

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/memory"
)

// slowCommit is a distant store that takes a second to make what was written visible.
type slowCommit struct{ store.Store }

func (s slowCommit) Create(ctx context.Context, r *store.Record) (store.Writer, error) {
	w, err := s.Store.Create(ctx, r)
	return slowWriter{w}, err
}

type slowWriter struct{ store.Writer }

func (w slowWriter) Commit(r *store.Record, superseded ...store.ID) error {
	time.Sleep(time.Second) // of the bubble's clock
	return w.Writer.Commit(r, superseded...)
}

// TestInvalidatedWhileStored shows that an unsafe request waits for what is being stored, and removes it; in a bubble,
// too, whose clock stands still while somebody waits for a sync.Mutex.
func TestInvalidatedWhileStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Cache{Base: unheeding{}, Store: slowCommit{new(memory.Store)}}
		send(t, c, "GET", "/a")
		synctest.Wait() // it is being stored
		send(t, c, "POST", "/a")
		time.Sleep(2 * time.Second) // of the bubble's clock
		if got := send(t, c, "GET", "/a"); got != Miss {
			t.Errorf("the GET after the POST was a %v, want a miss", got)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

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
	o.add(now, debt{base: "http://a/b"})
	o.add(now, debt{tag: "cache-group:http://a/g"})
	o.add(now, debt{url: "http://a/e?f"})
	o.add(now, debt{key: "key"})
	has(record("http://a/b?q", -1), true)
	has(record("http://a/b", 1), false)
	has(record("http://a/c", -1), false)
	has(record("http://a/c", -1, "x", "cache-group:http://a/g"), true)
	has(record("http://a/e?f", -1), true)
	has(record("http://a/e", -1), false)
	due := o.begin(now, true)
	if len(due) != 3 || len(o.begin(now, true)) > 0 {
		t.Errorf("due are %v, and then others", due)
	}
	for d, since := range due {
		o.removed(d, since, now)
	}
	o.end(now)
	has(record("http://a/e?f", -1), true) // for who has found it before it was removed
	o.add(now, debt{tag: "cache-group:http://a/g"})
	if due := o.begin(now.Add(2*payPause), true); len(due) != 1 { // the one that is owed anew
		t.Errorf("due are %v", due)
	}
	o.end(now)
	has(record("http://a/e?f", -1), false)
	o.add(now, debt{key: "key"})
	keyed := record("http://a/d", -1)
	keyed.Key = "key"
	has(keyed, true)
	for i := range maxOwed { // four more than it remembers
		o.add(now, debt{base: fmt.Sprint("http://a/", i)})
	}
	if len(o.since) > maxOwed {
		t.Errorf("%d are remembered", len(o.since))
	}
	has(record("http://a/0", -1), true)
	has(record("http://a/b", -1), true)
	has(record("http://other/", -1), true) // a hit less
	has(record("http://other/", 1), false)

	var full owed
	for i := range maxOwed {
		full.add(now, debt{url: fmt.Sprint(i)})
	}
	if full.add(now, debt{url: "0"}); !full.all.IsZero() {
		t.Error("what is known already is one too many")
	}
	if full.add(now, debt{url: "another"}); full.all.IsZero() {
		t.Error("nothing is one too many")
	}
}
