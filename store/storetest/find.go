package storetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/larder-go/larder/store"
)

var finding = []test{
	{"Find of an empty store yields nothing", "an empty store is no fault", findEmpty},
	{"Find yields every record once", "a listing misses nothing and repeats nothing", findAll},
	{"Find yields what the query means", "each field of Query is a condition, and all must hold", findQuery},
	{"Find knows a host in any case", "the case of a letter does not count, in ASCII or beyond", findHost},
	{"Find yields the head without the Body", "a listing does not read bodies", findHead},
	{"Find stops after Limit", "Limit bounds the listing", findLimit},
	{"Find may be broken off", "the loop's end frees what the listing holds", findBreak},
	{"the store may be used inside Find", "a purge deletes what it finds, while it finds", findDelete},
	{"Find ends when what it yields is replaced", "who refreshes all that is stored comes to an end", findReplace},
	{"Find runs beside writes", "what is stored or removed meanwhile may or may not be seen; the rest is", findBeside},
}

// find collects what q means. It fails if Find yields an error, or a record twice.
func (t *check) find(s store.Finder, q store.Query) []*store.Record {
	var all []*store.Record
	seen := map[store.ID]bool{}
	for r, err := range s.Find(t.ctx, q) {
		if err != nil {
			t.fatalf("Find: %v", err)
		}
		if seen[r.ID] {
			t.errorf("Find yields %v twice", r.ID)
		}
		seen[r.ID] = true
		all = append(all, r)
	}
	return all
}

// wantFound fails unless q finds exactly these, in whatever order.
func (t *check) wantFound(s store.Finder, what string, q store.Query, want ...*store.Record) {
	got, wanted := ids(t.find(s, q)), ids(want)
	slices.Sort(got)
	slices.Sort(wanted)
	if !slices.Equal(got, wanted) {
		t.errorf("Find by %s: %d records %.200v, want %d %.200v", what, len(got), got, len(wanted), wanted)
	}
}

func findEmpty(t *check) {
	s := t.store()
	f := want[store.Finder](t, s, "Finder")
	t.wantFound(f, "nothing", store.Query{})
	r := t.put(s, t.record("key"), 10)
	t.delete(s, r.Key)
	t.wantFound(f, "nothing", store.Query{})
}

func findAll(t *check) {
	s := t.store()
	f := want[store.Finder](t, s, "Finder")
	all := make([]*store.Record, 300)
	all = all[:t.several(len(all), func(i int) {
		all[i] = t.put(s, t.record(store.Key(fmt.Sprint("key", i/3))), i%7*10)
	})]
	t.wantFound(f, "nothing", store.Query{}, all...)
	t.several(len(all)/3, func(i int) {
		t.update(s, all[i])
	})
	t.wantFound(f, "nothing, after updates", store.Query{}, all...)
	deleted := t.several(len(all)/2, func(i int) { t.delete(s, all[i].Key, all[i].ID) })
	t.wantFound(f, "nothing, after deletes", store.Query{}, all[deleted:]...)
}

// toFind stores records that differ in all that a Query asks about, and returns them by a short name.
func (t *check) toFind(s store.Store) map[string]*store.Record {
	named := map[string]*store.Record{}
	for _, c := range []struct {
		name                  string
		key                   store.Key
		url                   string
		received, fresh, keep int // minutes from base; for fresh and keep, 0: no such time
		tags                  []string
	}{
		{"a", "ka", "https://example.com/a", -50, 10, 60, []string{"red"}},
		{"a2", "ka", "https://example.com/a", -40, 20, 70, []string{"red", "blue"}},
		{"b", "kb", "https://example.com/a/b?c=%41_", -30, 30, 0, nil},
		{"c", "kc", "http://example.com/a", -20, 0, 80, []string{"reddish"}},
		{"d", "kd", "https://example.com:8443/a", -10, -5, 90, []string{"a,b"}},
		{"e", "ke", "https://example.com.evil.org/a", 0, 0, 0, []string{""}},
		{"g", "kg", "https://exbmple.com/A", 0, 40, 100, []string{"RED"}},
	} {
		r := t.record(c.key)
		r.URL, r.Tags, r.Received = c.url, c.tags, minute(c.received)
		if c.fresh != 0 {
			r.FreshUntil = minute(c.fresh)
		}
		if c.keep != 0 {
			r.KeepUntil = minute(c.keep)
		}
		named[c.name] = t.put(s, r, 10)
	}
	return named
}

// minute returns the time n minutes after base.
func minute(n int) time.Time { return base.Add(time.Duration(n) * time.Minute) }

func findQuery(t *check) {
	s := t.store()
	f := want[store.Finder](t, s, "Finder")
	records := t.toFind(s)
	a, a2, b := records["a"], records["a2"], records["b"]
	for _, c := range []struct {
		what string
		q    store.Query
		want string // names of records
	}{
		{"nothing", store.Query{}, "a a2 b c d e g"},
		{"Key", store.Query{Key: "ka"}, "a a2"},
		{"Key that is a prefix", store.Query{Key: "k"}, ""},
		{"ID", store.Query{ID: a2.ID}, "a2"},
		{"ID that is absent", store.Query{ID: store.NewID(base)}, ""},
		{"URL", store.Query{URL: "https://example.com/a"}, "a a2"},
		{"URL that is a pattern", store.Query{URL: "https://ex_mple.com/%"}, ""},
		{"URL in another case", store.Query{URL: "https://example.com/A"}, ""},
		{"Prefix", store.Query{Prefix: "https://example.com/a"}, "a a2 b"},
		{"Prefix of the host", store.Query{Prefix: "https://example.com"}, "a a2 b d e"},
		{"Prefix with wildcards", store.Query{Prefix: "https://ex_mple.com/"}, ""},
		{"Prefix with percent", store.Query{Prefix: "https://example.com/a/b?c=%41_"}, "b"},
		{"Prefix in another case", store.Query{Prefix: "https://exbmple.com/a"}, ""},
		{"Host", store.Query{Host: "example.com"}, "a a2 b c"},
		{"Host in another case", store.Query{Host: "EXAMPLE.com"}, "a a2 b c"},
		{"Host with port", store.Query{Host: "example.com:8443"}, "d"},
		{"Host that is a part", store.Query{Host: "evil.org"}, ""},
		{"Tag", store.Query{Tag: "red"}, "a a2"},
		{"second Tag", store.Query{Tag: "blue"}, "a2"},
		{"Tag with a comma", store.Query{Tag: "a,b"}, "d"},
		{"Tag that is a part", store.Query{Tag: "a"}, ""},
		{"Stale", store.Query{Stale: minute(20)}, "a d"},
		{"Stale of all that can be", store.Query{Stale: minute(1000)}, "a a2 b d g"},
		{"Ended", store.Query{Ended: minute(80)}, "a a2"},
		{"Ended of all that can be", store.Query{Ended: minute(1000)}, "a a2 c d g"},
		{"Before", store.Query{Before: minute(-30)}, "a a2"},
		{"Filter", store.Query{Filter: func(r *store.Record) bool { return len(r.Tags) == 2 }}, "a2"},
		{"two fields", store.Query{Tag: "red", Before: minute(-40)}, "a"},
		{"every field", store.Query{Key: "ka", ID: a.ID, URL: a.URL, Prefix: "https", Host: "example.com", Tag: "red",
			Stale: minute(11), Ended: minute(61), Before: minute(-49), Filter: func(*store.Record) bool { return true }, Limit: 9}, "a"},
		{"fields that contradict", store.Query{Key: "ka", ID: b.ID}, ""},
	} {
		var want []*store.Record
		for _, name := range strings.Fields(c.want) {
			want = append(want, records[name])
		}
		t.wantFound(f, c.what, c.q, want...)
	}
}

func findHost(t *check) {
	s := t.store()
	f := want[store.Finder](t, s, "Finder")
	put := func(key store.Key, host string) *store.Record {
		r := t.record(key)
		r.URL = "https://" + host + "/"
		return t.put(s, r, 10)
	}
	ascii, kelvin, umlaut := put("ka", "books.example"), put("kb", "boo\u212as.example"), put("kc", "b\u00fccher.example")
	put("kd", "b\u00fbcher.example")
	for _, c := range []struct {
		host string
		want []*store.Record
	}{
		{"BOOKS.example", []*store.Record{ascii, kelvin}},
		{"boo\u212as.EXAMPLE", []*store.Record{ascii, kelvin}},
		{"book\u017f.example", []*store.Record{ascii, kelvin}},
		{"B\u00dcCHER.example", []*store.Record{umlaut}},
		{"b\u00fccher.example", []*store.Record{umlaut}},
		{"bucher.example", nil},
	} {
		t.wantFound(f, "Host "+c.host, store.Query{Host: c.host}, c.want...)
	}
}

func findHead(t *check) {
	s := t.store()
	f := want[store.Finder](t, s, "Finder")
	for _, size := range []int{0, 100, 200_000} {
		r := t.put(s, t.record(store.Key(fmt.Sprint("key", size))), size)
		filtered := 0
		q := store.Query{Key: r.Key, Filter: func(r *store.Record) bool {
			filtered++
			if r.Body != nil {
				t.errorf("Filter sees a record with its Body of %d bytes", len(r.Body))
			}
			return true
		}}
		found := t.find(f, q)
		if len(found) != 1 || filtered != 1 {
			t.fatalf("Find: %d records, %d filtered; want 1", len(found), filtered)
		}
		if found[0].Body != nil {
			t.errorf("Find yields a record with its Body of %d bytes", len(found[0].Body))
		}
		t.sameHead(found[0], r)
		t.wantBody(s, found[0], size)
	}
}

func findLimit(t *check) {
	s := t.store()
	f := want[store.Finder](t, s, "Finder")
	for i := range 20 {
		r := t.record(store.Key(fmt.Sprint("key", i%5)))
		r.Tags = []string{fmt.Sprint("tag", i%2)}
		t.put(s, r, 10)
	}
	for _, c := range []struct {
		q    store.Query
		want int
	}{
		{store.Query{Limit: 1}, 1}, {store.Query{Limit: 7}, 7}, {store.Query{Limit: 20}, 20}, {store.Query{Limit: 100}, 20}, {store.Query{Limit: 0}, 20},
		{store.Query{Tag: "tag1", Limit: 6}, 6}, {store.Query{Tag: "tag1", Limit: 11}, 10}, {store.Query{Key: "key1", Limit: 2}, 2},
		{store.Query{Limit: 3, Filter: func(r *store.Record) bool { return r.Tags[0] == "tag0" }}, 3},
		{store.Query{Limit: -1}, 20},
	} {
		if got := len(t.find(f, c.q)); got != c.want {
			t.errorf("Find with Limit %d: %d records, want %d", c.q.Limit, got, c.want)
		}
	}
}

func findBreak(t *check) {
	s := t.store()
	f := want[store.Finder](t, s, "Finder")
	for i := range 50 {
		t.put(s, t.record(store.Key(fmt.Sprint("key", i))), 10)
	}
	for range often(50) { // a connection or lock kept each time would run out
		for _, err := range f.Find(t.ctx, store.Query{}) {
			if err != nil {
				t.fatalf("Find: %v", err)
			}
			break
		}
	}
	t.put(s, t.record("after"), 10)
	if got := len(t.find(f, store.Query{})); got != 51 {
		t.errorf("Find after broken off ones: %d records, want 51", got)
	}
}

func findReplace(t *check) {
	s := t.store()
	f := want[store.Finder](t, s, "Finder")
	for _, size := range []int{10, 40_000} {
		all := t.several(70, func(i int) { t.put(s, t.record(store.Key(fmt.Sprint("key", size, i))), size) })
		q := store.Query{Filter: func(r *store.Record) bool { return r.Size == int64(size) }}
		n, end := 0, time.Now().Add(enough)
		for r, err := range f.Find(t.ctx, q) {
			if err != nil {
				t.fatalf("Find: %v", err)
			}
			if time.Now().After(end) {
				break
			}
			if n++; n > 3*all {
				t.fatalf("Find of %d records yields more than %d, since each is replaced by one of %d bytes", all, 3*all, size)
			}
			t.put(s, t.record(r.Key), size, r.ID)
		}
	}
}

func findDelete(t *check) {
	s := t.store()
	f := want[store.Finder](t, s, "Finder")
	all := t.several(100, func(i int) {
		t.put(s, t.record(store.Key(fmt.Sprint("key", i/2))), i%2*100_000)
	})
	n := 0
	for r, err := range f.Find(t.ctx, store.Query{}) {
		if err != nil {
			t.fatalf("Find: %v", err)
		}
		if n%10 == 0 {
			t.lookup(s, r.Key)
			t.put(s, t.record("kept"), 10)
		}
		if r.Key == "kept" {
			continue
		}
		n++
		t.delete(s, r.Key, r.ID)
	}
	if n != all {
		t.errorf("Find yields %d of %d records while they are deleted one by one", n, all)
	}
	for _, r := range t.find(f, store.Query{}) {
		if r.Key != "kept" {
			t.errorf("%s is still found after its Delete", short(r.Key))
		}
	}
}

func findBeside(t *check) {
	s := t.store()
	f := want[store.Finder](t, s, "Finder")
	put := make([]store.ID, 100)
	n := t.several(len(put), func(i int) { put[i] = t.put(s, t.record(store.Key(fmt.Sprint("stays", i))), 10).ID })
	stays := map[store.ID]bool{}
	for _, id := range put[:n] {
		stays[id] = true
	}
	var all sync.WaitGroup
	for i := range 3 {
		all.Go(func() {
			for j := range often(50) {
				key := store.Key(fmt.Sprint("goes", i, j%10))
				t.put(s, t.record(key), 10)
				if j%3 == 0 {
					t.delete(s, key)
				}
			}
		})
	}
	for i := range 3 {
		all.Go(func() {
			for range often(5) {
				missing := maps.Clone(stays)
				first := true
				for r, err := range f.Find(t.ctx, store.Query{}) {
					if err != nil {
						t.fatalf("Find beside writes: %v", err)
					}
					if first { // so that at least one write comes in the midst of Find
						t.put(s, t.record(store.Key(fmt.Sprint("goes", i))), 10)
						first = false
					}
					delete(missing, r.ID)
				}
				if len(missing) > 0 {
					t.errorf("Find beside writes misses %d of %d records that stay", len(missing), n)
				}
			}
		})
	}
	all.Wait()
}
