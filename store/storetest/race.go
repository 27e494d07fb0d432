package storetest

import (
	"bytes"
	"flag"
	"sync"
	"time"

	"github.com/larder-go/larder/store"
)

var racing = []test{
	{"a reader finds the old record or the new", "what is superseded goes with the Commit or after it, never before", oldOrNew},
	{"sixteen goroutines do everything at once", "who asks after a call has returned sees what it did, or something later", everythingAtOnce},
	{"two handles do everything at once", "the same, by several processes", twoHandlesAtOnce},
	{"sixteen goroutines do everything in little room", "the same, in a store that evicts", everythingInLittleRoom},
}

var stressTime = flag.Duration("storetest.stress", 0, "how long each case goes on in which goroutines do everything at once; 0: once")

func oldOrNew(t *check) {
	s := t.store()
	old := t.put(s, t.record("key"), 1000)
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				found := t.lookup(s, "key")
				if len(found) == 0 {
					t.fatalf("Lookup finds nothing while one record takes another's place")
				}
				t.verify(s, found[0])
			}
		})
	}
	for i := range often(100) {
		old = t.put(s, t.record("key"), 1000+i%2*100_000, old.ID)
	}
	close(done)
	readers.Wait()
	t.wantIDs(s, "key", old)
}

// verify fails if the head or body of r is that of another record. A missing body is not a failure.
func (t *check) verify(s store.Store, r *store.Record) {
	if got := r.Header.Get("Etag"); got != etag(r.ID) {
		t.errorf("record %v has the head of %s", r.ID, got)
	}
	body, err := t.readAll(s, r)
	switch {
	case err != nil && !gone(err):
		t.errorf("read the body: %v", err)
	case err == nil && !bytes.Equal(body, bodyOf(r.Key, r.ID, int(r.Size))):
		t.errorf("record %v of %s: the body of %d bytes (Size %d) is not its own", r.ID, short(r.Key), len(body), r.Size)
	}
}

func everythingAtOnce(t *check) {
	s := t.store()
	t.mix(s, s, false)
}

func twoHandlesAtOnce(t *check) {
	if !t.kit.Shared {
		t.skip("the kit says that the store is not shared")
	}
	t.mix(t.store(), t.store(), false)
}

func everythingInLittleRoom(t *check) {
	s := t.limited()
	t.mix(s, s, true)
}

// mix lets goroutines do all that a store can, on few keys, half of them through a and half through b, and looks at what
// is left. Then it begins anew, until stressTime is over.
func (t *check) mix(a, b store.Store, evicts bool) {
	for end := time.Now().Add(*stressTime); ; {
		m := &mix{check: t, evicts: evicts}
		m.run(a, b)
		m.history.check(evicts, t.errorf)
		for _, key := range mixKeys {
			t.delete(a, key)
			t.wantIDs(b, key)
		}
		t.wantCount(b, "after Delete of all", 0)
		if t.failed() || time.Now().After(end) {
			return
		}
	}
}
