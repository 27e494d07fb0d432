package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/larder-go/larder/store"
)

// filesIn returns what is at the place of a key: "first", or the path in its folder with the ID's name.
func filesIn(t *testing.T, p place, names map[store.ID]string) (all []string) {
	t.Helper()
	if first, err := p.readPrefix(p.first()); err == nil {
		all = append(all, "first: "+names[first.id])
	} else if !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	in, err := p.list()
	if err == nil && len(in) == 0 {
		all = append(all, "an empty folder")
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, g := range in {
		if g.base {
			all = append(all, "folder: "+names[g.id])
		}
		if n := len(g.updates); n > 0 {
			all = append(all, fmt.Sprintf("folder: %d update of %s", n, names[g.id]))
		}
	}
	slices.Sort(all)
	return all
}

func TestAFolderIsMadeForTheSecondRecordOfAKey(t *testing.T) {
	s, _ := openTwo(t)
	p := placeOf(t, s, "key")
	names := map[store.ID]string{}
	want := func(step string, want ...string) {
		t.Helper()
		if got := filesIn(t, p, names); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", step, got, want)
		}
	}
	add := func(name string, superseded ...store.ID) *store.Record {
		r := put(t, s, "key", superseded...)
		names[r.ID] = name
		return r
	}
	update := func(r *store.Record) {
		if err := s.Update(t.Context(), r.Clone()); err != nil {
			t.Error(err)
		}
	}
	remove := func(ids ...store.ID) {
		if err := s.Delete(t.Context(), "key", ids...); err != nil {
			t.Error(err)
		}
	}
	a := add("a")
	want("one record", "first: a")
	b := add("b")
	want("a second", "first: a", "folder: b")
	remove(a.ID)
	want("the first deleted", "folder: b")
	c := add("c", b.ID)
	want("one in the folder superseded", "folder: c")
	remove(c.ID)
	want("all deleted")
	d := add("d")
	want("stored anew", "first: d")
	update(d)
	update(d)
	want("updated", "first: d", "folder: 1 update of d")
	e := add("e", d.ID)
	want("an updated first superseded", "folder: e")
	update(e)
	want("updated in the folder", "folder: 1 update of e", "folder: e")
	remove()
	want("all deleted again")
	f := add("f")
	update(f)
	remove(f.ID)
	want("an updated first deleted")
	add("g")
	h := add("h")
	remove()
	want("two deleted")
	if found := seenBy(t, s, "key"); found != nil {
		t.Errorf("found %v, %s being the last", found, h.ID)
	}
}

// Between finding the first record and removing it another process may have put a later one in its place.
func TestOnlyTheFirstThatIsMeantIsRemoved(t *testing.T) {
	s, other := openTwo(t)
	p := placeOf(t, s, "key")
	g := firstAndGone(t, s, other, p)
	if r, err := s.readFound(t.Context(), p, &group{id: g.id, base: true}, "key"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("what was found and went is %v, %v; want ErrNotFound", r, err)
	}
	later := put(t, other, "key")
	// The second was damaged, the third in the folder.
	for _, g := range []*group{&g, {first: &head{}}, {id: g.id, base: true}} {
		if _, err := s.removeRecord(p, g); err != nil {
			t.Error(err)
		}
		if got := seenBy(t, s, "key"); !slices.Equal(got, states(later)) {
			t.Fatalf("found %v, want %v", got, states(later))
		}
	}
	if err := p.holds(&g); !errors.Is(err, fs.ErrNotExist) { // though the file may have the number of the one before it
		t.Errorf("the one before it is there still: %v", err)
	}
	if n, bytes, err := s.Size(t.Context()); n != 1 || bytes != 8192 || err != nil {
		t.Errorf("Size: %d records, %d bytes, %v; want 1 of 8192", n, bytes, err)
	}
	if names, err := os.ReadDir(p.fan.Name()); len(names) != 2 || err != nil { // with the index
		t.Errorf("left: %v, %v", names, err)
	}
}

// Who removes a record that was the first does not keep a later one from a Delete.
func TestDeleteRemovesTheFirstBesideOthersWhoRemove(t *testing.T) {
	t.Parallel()
	s, other := openTwo(t)
	p := placeOf(t, s, "key")
	g := firstAndGone(t, s, other, p)
	for i := range 200 {
		put(t, other, "key")
		var both sync.WaitGroup
		both.Go(func() {
			for range 20 {
				s.removeRecord(p, &g)
			}
		})
		both.Go(func() {
			if err := other.Delete(t.Context(), "key"); err != nil {
				t.Error(err)
			}
		})
		both.Wait()
		if got := seenBy(t, s, "key"); len(got) != 0 {
			t.Fatalf("after %d: Delete left %v", i, got)
		}
	}
}

// firstAndGone returns what one store found to be the first record of "key", and the other has deleted.
func firstAndGone(t *testing.T, s, other *Store, p place) group {
	t.Helper()
	g, err := p.find(put(t, s, "key").ID, place.readPrefix)
	if err == nil {
		err = other.Delete(t.Context(), "key")
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestAFolderThatOthersKeepRemovingIsMadeAgain(t *testing.T) {
	s, _ := openTwo(t)
	p := placeOf(t, s, "key")
	done := make(chan struct{})
	var removals atomic.Int64 // that are still to come, for this move: fewer than attempts
	var remover sync.WaitGroup
	remover.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if removals.Add(-1) < 0 {
				runtime.Gosched()
				continue
			}
			p.discard() // as a Delete or Sweep does that finds it empty
		}
	})
	for i := range 500 {
		removals.Store(attempts - 1)
		temp, path := p.temp(), p.inside(fmt.Sprint(i))
		if err := os.WriteFile(filepath.Join(p.fan.Name(), temp), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := p.move(temp, path); err != nil {
			t.Fatal(err)
		}
		if err := p.fan.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	remover.Wait()
}

// A record that takes the place of the first goes into the folder, and no Lookup sees neither.
func TestWhoSupersedesTheFirstIsNeverMissed(t *testing.T) {
	t.Parallel()
	reader, writer := openTwo(t)
	for i := range 200 {
		key := store.Key(fmt.Sprint(i))
		r := put(t, writer, key)
		done := make(chan struct{})
		var readers sync.WaitGroup
		for range 2 {
			readers.Go(func() {
				for {
					if found, err := reader.Lookup(t.Context(), key); len(found) == 0 || err != nil {
						t.Errorf("key %s: %d found, %v", key, len(found), err)
						return
					}
					select {
					case <-done:
						return
					default:
					}
				}
			})
		}
		for range 3 {
			r = put(t, writer, key, r.ID)
		}
		close(done)
		readers.Wait()
	}
}

func TestAnUpdateIsNotForgottenWhileItsRecordIsRemoved(t *testing.T) {
	s, _ := openTwo(t)
	p := placeOf(t, s, "key")
	r := put(t, s, "key")
	if err := s.Update(t.Context(), r.Clone()); err != nil {
		t.Fatal(err)
	}
	all, err := p.records(func(p place, path string) (*head, error) {
		h, err := p.readHead(path)
		if err := s.Delete(t.Context(), "key"); err != nil {
			t.Error(err)
		}
		return h, err
	}, place.list)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for i := range all {
		if all[i].there() && p.head(&all[i]) == p.first() {
			t.Error("the head as it was committed counts, though it had been updated")
		}
	}
}
