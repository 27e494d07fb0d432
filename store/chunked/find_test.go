package chunked_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

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
