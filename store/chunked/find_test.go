package chunked_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/larder/internal/maptable"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/chunked"
)

func TestFindGoesByTheIndex(t *testing.T) {
	table := &watched{Table: new(maptable.Table)}
	s := chunked.New(table, nil)
	for i := range 200 {
		r, body := record(fmt.Sprint("key", i), 10)
		r.Tags = []string{fmt.Sprint("tag", i%20), "all"}
		put(t, s, r, body)
	}
	for what, c := range map[string]struct {
		q     store.Query
		found int
	}{
		"URL":          {store.Query{URL: "https://example.com/key7"}, 1},
		"tag":          {store.Query{Tag: "tag3"}, 10},
		"key":          {store.Query{Key: "key7"}, 1},
		"absent tag":   {store.Query{Tag: "tag"}, 0},
		"tag and host": {store.Query{Tag: "tag3", Host: "example.com"}, 10},
	} {
		before := table.count("Get r")
		equal(t, "found by "+what, len(find(t, s, c.q)), c.found)
		equal(t, "records read by "+what, table.count("Get r")-before, max(c.found, 0))
	}
	for i := range 200 {
		if err := s.Delete(t.Context(), store.Key(fmt.Sprint("key", i))); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	equal(t, "rows after all was deleted", table.Len(""), 0)
}

// repeating is a table that yields each group twice.
type repeating struct{ *watched }

func (r repeating) Groups(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for range 2 {
			for group, err := range r.watched.Groups(ctx, prefix) {
				if !yield(group, err) {
					return
				}
			}
		}
	}
}

// TestFindAmongMany has more keys than are read in one go.
func TestFindAmongMany(t *testing.T) {
	table := &watched{Table: new(maptable.Table)}
	s := chunked.New(repeating{table}, nil)
	defer s.Close()
	for i := range 200 {
		r, body := record(fmt.Sprint("key", i), 10)
		put(t, s, r, body)
	}
	equal(t, "found", len(find(t, s, store.Query{})), 200)
	equal(t, "found up to a limit", len(find(t, s, store.Query{Limit: 70})), 70)
	for range s.Find(t.Context(), store.Query{}) {
		break
	}
	broken := errors.New("the server is gone")
	table.first(func(_, group, _ string) error {
		if group == chunked.RecordGroup("key100") {
			return broken
		}
		return nil
	})
	var last error
	for _, err := range s.Find(t.Context(), store.Query{}) {
		if last != nil {
			t.Error("Find goes on after a fault")
		}
		last = err
	}
	if !errors.Is(last, broken) {
		t.Errorf("Find ends with %v, want %v", last, broken)
	}
}

func TestARecordInTheWrongPlaceIsDamage(t *testing.T) {
	table := new(maptable.Table)
	s := chunked.New(table, nil)
	defer s.Close()
	r, body := record("a", 10)
	put(t, s, r, body)
	row, _ := table.Row(chunked.RecordGroup("a"), r.ID.String())
	ctx := store.Inspect(t.Context())
	for what, to := range map[string]chunked.Row{
		"another key": {Group: chunked.RecordGroup("b"), Item: row.Item, Value: row.Value},
		"another ID":  {Group: row.Group, Item: store.NewID(time.Now()).String(), Value: row.Value},
	} {
		if err := table.Put(ctx, to, chunked.Always); err != nil {
			t.Fatal(err)
		}
		found, err := s.Lookup(ctx, "a")
		other, otherErr := s.Lookup(ctx, "b")
		if len(found) != 1 || len(other) != 0 || !errors.Is(errors.Join(err, otherErr), store.ErrCorrupt) {
			t.Errorf("under %s: Lookup: %d and %d records, %v, %v", what, len(found), len(other), err, otherErr)
		}
		n, faults := 0, 0
		for _, err := range s.Find(ctx, store.Query{}) {
			if err == nil {
				n++
			} else if errors.Is(err, store.ErrCorrupt) {
				faults++
			}
		}
		equal(t, "under "+what+": found", n, 1)
		equal(t, "under "+what+": damaged", faults, 1)
		if err := table.Delete(ctx, to.Group, to.Item); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSizeAddsUpHeadsAndBodies(t *testing.T) {
	table := new(maptable.Table)
	s := chunked.New(table, nil)
	defer s.Close()
	want := 0
	for i, size := range []int{10, 1 << 20} { // the first beside its head
		r, body := record(fmt.Sprint(i), size)
		put(t, s, r, body)
		row, _ := table.Row(chunked.RecordGroup(r.Key), r.ID.String())
		want += len(row.Value) + size*i
	}
	n, bytes, err := s.Size(t.Context())
	if n != 2 || bytes != int64(want) || err != nil {
		t.Errorf("%d records of %d bytes, %v; want 2 of %d", n, bytes, err, want)
	}
}

// evicting is a table whose database drops what has not expired, or is asked whether it does.
type evicting struct {
	*watched
	evicts bool
	err    error
}

func (e evicting) Evicts(context.Context, string) (bool, error) { return e.evicts, e.err }

func TestFindDoesNotGoByAnIndexThatMayHaveLostSomething(t *testing.T) {
	for _, evicts := range []bool{false, true} {
		table := &watched{Table: new(maptable.Table)}
		s := chunked.New(evicting{table, evicts, nil}, nil)
		defer s.Close()
		for i := range 10 {
			r, body := record(fmt.Sprint("key", i), 10)
			r.Tags = []string{fmt.Sprint("tag", i%2)}
			put(t, s, r, body)
		}
		want := map[bool]int{false: 0, true: 1}[evicts]
		for what, q := range map[string]store.Query{"URL": {URL: "https://example.com/key7"}, "tag": {Tag: "tag1", Limit: 1}} {
			equal(t, "found by "+what, len(find(t, s, q)), 1)
			for group := range table.Groups(t.Context(), "i/"+strings.ToLower(what[:1])) {
				table.Table.Delete(t.Context(), group)
			}
			equal(t, fmt.Sprintf("found by %s when the index is lost, evicts %v", what, evicts), len(find(t, s, q)), want)
		}
	}
	fault := errors.New("down")
	s := chunked.New(evicting{&watched{Table: new(maptable.Table)}, false, fault}, nil)
	defer s.Close()
	for _, err := range s.Find(t.Context(), store.Query{URL: "https://example.com/"}) {
		if !errors.Is(err, fault) {
			t.Errorf("Find ends with %v, want %v", err, fault)
		}
		return
	}
	t.Error("Find tells of no fault")
}
