package tiered_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/memory"
	"github.com/larder-go/larder/store/tiered"
)

const lifetime = 2 * time.Second // the default

func TestHitIsOneLookupInTheFront(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := inBetween()
		put(t, back.Store, "key", "one")
		s := open(t, nil, back, nil)
		want(t, "the first time", found(t, s, "key"), answer{200, "one"})
		wantCalls(t, "the first time", back.count(lookup), 1)
		first, _ := s.Lookup(t.Context(), "key")
		for range 10 {
			time.Sleep(lifetime/10 - 1)
			again, err := s.Lookup(t.Context(), "key")
			if err != nil || len(again) != 1 || again[0] != first[0] {
				t.Fatalf("got %v, %v, want the very record that was found before", again, err)
			}
		}
		wantCalls(t, "within Lifetime", back.count(lookup), 0)

		time.Sleep(lifetime)
		again, err := s.Lookup(t.Context(), "key")
		if err != nil || len(again) != 1 || again[0] != first[0] {
			t.Errorf("got %v, %v after Lifetime, want the very record that was found before", again, err)
		}
		wantCalls(t, "after Lifetime", back.count(lookup), 1)
		want(t, "from then on", found(t, s, "key"), answer{200, "one"})
		wantCalls(t, "from then on", back.count(lookup), 0)
	})
}

func TestWhatIsStoredIsInFront(t *testing.T) {
	back := inBetween()
	s := open(t, nil, back, nil)
	want(t, "at first", found(t, s, "key"))
	old := put(t, s, "key", "one")
	put(t, s, "key", strings.Repeat("two", 100_000), old.ID)
	back.count(lookup)
	want(t, "what was stored after a miss", found(t, s, "key"), answer{200, strings.Repeat("two", 100_000)})
	wantCalls(t, "what was stored after a miss", back.count(lookup)+back.count(opened), 0)
	must(t, s.Delete(t.Context(), "key"))
	put(t, s, "key", "four")
	want(t, "what was stored after a Delete", found(t, s, "key"), answer{200, "four"})
	wantCalls(t, "what was stored after a Delete", back.count(lookup)+back.count(opened), 0)
	put(t, s, "other", "three") // what else is there nobody knows
	want(t, "what was stored without a miss before it", found(t, s, "other"), answer{200, "three"})
	wantCalls(t, "what was stored without a miss before it", back.count(lookup), 1)
}

// others are the changes that another process makes to a record r, and what is found then.
var others = map[string]struct {
	op   string
	make func(*testing.T, store.Store, *store.Record)
	want []answer
}{
	"Delete of the id": {remove, func(t *testing.T, s store.Store, r *store.Record) {
		must(t, s.Delete(t.Context(), r.Key, r.ID))
	}, nil},
	"Delete of the key": {remove, func(t *testing.T, s store.Store, r *store.Record) {
		must(t, s.Delete(t.Context(), r.Key))
	}, nil},
	"Update": {update, func(t *testing.T, s store.Store, r *store.Record) {
		if err := s.Update(t.Context(), withStatus(r, 210)); !errors.Is(err, store.ErrNotFound) {
			must(t, err)
		}
	}, []answer{{210, "old"}}},
	"Commit in its place": {commit, func(t *testing.T, s store.Store, r *store.Record) {
		put(t, s, r.Key, "new", r.ID)
	}, []answer{{200, "new"}}},
	"Commit beside it": {commit, func(t *testing.T, s store.Store, r *store.Record) {
		put(t, s, r.Key, "new")
	}, []answer{{200, "new"}, {200, "old"}}},
	"Sweep": {sweep, func(t *testing.T, s store.Store, r *store.Record) {
		_, err := s.(store.Sweeper).Sweep(t.Context(), r.KeepUntil.Add(1))
		must(t, err)
	}, nil},
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// old stores a record that has an end.
func old(t *testing.T, s store.Store) *store.Record {
	t.Helper()
	r := record("key")
	r.KeepUntil = time.Now().Add(time.Hour)
	must(t, tryPut(s, r, "old"))
	return r
}

func TestOwnChangesAreSeenAtOnce(t *testing.T) {
	for name, c := range others {
		t.Run(name, func(t *testing.T) {
			s := open(t, nil, openDisk(t, t.TempDir()), &tiered.Options{Lifetime: time.Hour})
			r := old(t, s)
			want(t, "before", found(t, s, "key"), answer{200, "old"})
			c.make(t, s, r)
			want(t, "after", found(t, s, "key"), c.want...)
			want(t, "and again", found(t, s, "key"), c.want...)
		})
	}
}

func TestChangesOfOthersAreSeenAfterLifetime(t *testing.T) {
	for name, c := range others {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				ours, theirs := open(t, nil, openDisk(t, dir), nil), open(t, nil, openDisk(t, dir), nil)
				r := old(t, ours)
				want(t, "before", found(t, ours, "key"), answer{200, "old"})
				time.Sleep(lifetime / 2)
				c.make(t, theirs, r)
				want(t, "to the other at once", found(t, theirs, "key"), c.want...)
				time.Sleep(lifetime/2 - 1)
				want(t, "within Lifetime", found(t, ours, "key"), answer{200, "old"})
				time.Sleep(time.Nanosecond)
				want(t, "after Lifetime", found(t, ours, "key"), c.want...)
				first, _ := ours.Lookup(t.Context(), "key")
				again, _ := ours.Lookup(t.Context(), "key")
				if !slices.Equal(first, again) {
					t.Error("what the other has changed is not in front")
				}
				want(t, "from then on", answers(t, ours, again), c.want...)
			})
		})
	}
}

func TestBackAskedEveryTime(t *testing.T) {
	for name, c := range others {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			ours := open(t, nil, openDisk(t, dir), &tiered.Options{Lifetime: -1})
			theirs := open(t, nil, openDisk(t, dir), nil)
			r := old(t, ours)
			want(t, "before", found(t, ours, "key"), answer{200, "old"})
			c.make(t, theirs, r)
			want(t, "at once", found(t, ours, "key"), c.want...)
		})
	}
}

func TestSweepReachesTheFront(t *testing.T) {
	front := new(memory.Store)
	s := open(t, front, new(memory.Store), nil)
	r := old(t, s)
	_, err := s.Sweep(t.Context(), r.KeepUntil.Add(1))
	must(t, err)
	if n, _, _ := front.Size(t.Context()); n != 0 {
		t.Errorf("%d records are left in front", n)
	}
}

// To another process it costs a lookup, and here a request to the origin.
func TestWhatOthersRenewedIsSeenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		ours, theirs := open(t, nil, openDisk(t, dir), nil), open(t, nil, openDisk(t, dir), nil)
		r := record("key")
		r.FreshUntil = time.Now().Add(lifetime / 2)
		must(t, tryPut(ours, r, "one"))
		want(t, "before", found(t, ours, "key"), answer{200, "one"})
		time.Sleep(lifetime/2 - 1)
		renewed := withStatus(r, 210)
		renewed.FreshUntil = time.Now().Add(time.Hour)
		must(t, theirs.Update(t.Context(), renewed))
		want(t, "as long as it is fresh", found(t, ours, "key"), answer{200, "one"})
		time.Sleep(time.Nanosecond)
		want(t, "when it is stale", found(t, ours, "key"), answer{210, "one"})
	})
}

func TestRecordOfOthersWhereNoneWasIsSeenAtOnce(t *testing.T) {
	dir := t.TempDir()
	ours, theirs := open(t, nil, openDisk(t, dir), nil), open(t, nil, openDisk(t, dir), nil)
	want(t, "before", found(t, ours, "key"))
	put(t, theirs, "key", "new")
	want(t, "after", found(t, ours, "key"), answer{200, "new"})
}

// A Lookup that has read the back before a change, and goes on after it, must not bring back what was; also when the
// change had begun by then.
func TestLookupBesideAChange(t *testing.T) {
	for name, c := range others {
		for _, begun := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, begun before %v", name, begun), func(t *testing.T) {
				back := inBetween()
				s := open(t, nil, back, &tiered.Options{Lifetime: time.Hour})
				r := old(t, back.Store)
				reached, let := back.hold(c.op, true)
				var all sync.WaitGroup
				change := func() {
					all.Go(func() { c.make(t, s, r) })
					<-reached
				}
				if begun {
					change()
				}
				read, goOn := back.hold(lookup, false)
				done := make(chan struct{})
				go func() {
					defer close(done)
					if got, err := s.Lookup(t.Context(), "key"); err != nil || len(got) != 1 {
						t.Errorf("Lookup before the change was made: %v, %v", got, err)
					}
				}()
				<-read
				if !begun {
					change()
				}
				let()
				all.Wait()
				goOn()
				<-done
				want(t, "after", found(t, s, "key"), c.want...)
				want(t, "and again", found(t, s, "key"), c.want...)
			})
		}
	}
}

// Of two changes at once nobody here knows which came first in the back.
func TestChangeBesideAChange(t *testing.T) {
	for _, op := range []string{commit, update} {
		for name, c := range others {
			t.Run(op+" and "+name, func(t *testing.T) {
				back := inBetween()
				s := open(t, nil, back, &tiered.Options{Lifetime: time.Hour})
				r := old(t, s)
				want(t, "before", found(t, s, "key"), answer{200, "old"})
				reached, let := back.hold(op, false)
				done := make(chan struct{})
				go func() {
					defer close(done)
					if op == commit {
						put(t, s, "key", "first", r.ID)
					} else {
						must(t, s.Update(t.Context(), withStatus(r, 299)))
					}
				}()
				<-reached
				c.make(t, s, r)
				let()
				<-done
				truth := found(t, back.Store, "key")
				want(t, "after", found(t, s, "key"), truth...)
				want(t, "and again", found(t, s, "key"), truth...)
			})
		}
	}
}

// A Lookup that took long must not undo what a later one has learnt.
func TestLookupBesideALookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := inBetween()
		s := open(t, nil, back, nil)
		r := put(t, back.Store, "key", "one")
		reached, let := back.hold(lookup, false)
		done := make(chan struct{})
		go func() {
			defer close(done)
			want(t, "the one that took long", found(t, s, "key"), answer{200, "one"})
		}()
		<-reached
		time.Sleep(lifetime / 2)
		must(t, back.Store.Update(t.Context(), withStatus(r, 210)))
		want(t, "the later one", found(t, s, "key"), answer{210, "one"})
		let()
		<-done
		want(t, "after both", found(t, s, "key"), answer{210, "one"})
	})
}

// A Lookup that has read the back before a Sweep, and goes on after it, must not bring back what was swept.
func TestLookupBesideASweep(t *testing.T) {
	front, back := inBetween(), inBetween()
	s := open(t, front, back, nil)
	r := old(t, back.Store)
	looking, look := front.hold(lookup, false)
	done := make(chan struct{})
	go func() {
		defer close(done)
		want(t, "a Lookup before the Sweep", found(t, s, "key"), answer{200, "old"})
	}()
	<-looking
	_, err := s.Sweep(t.Context(), r.KeepUntil.Add(1))
	must(t, err)
	look()
	<-done
	want(t, "after both", found(t, s, "key"))
}
