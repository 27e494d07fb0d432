package redis

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/chunked"
)

var background = context.Background()

func TestScriptsHaveTheirDigests(t *testing.T) {
	for _, s := range []script{putRow, dropRow, putMark, dropMark, evicts} {
		sum := sha1.Sum([]byte(s.text))
		if got := hex.EncodeToString(sum[:]); got != s.sha1 {
			t.Errorf("the SHA-1 of\n%s\nis %s", s.text, got)
		}
	}
}

func TestKeys(t *testing.T) {
	tab := &table{prefix: "a*b:"}
	for group, want := range map[string]string{
		"r/0f":      "a*b:r:{0f}",
		"b/0f/77":   "a*b:b:{0f}:77",
		"b/0f/77/1": "a*b:b:{0f}:77:1",
		"l/0f":      "a*b:l:{0f}",
		"i/u/0f":    "a*b:i:u:0f",
		"i/t/0f/8":  "a*b:i:t:0f:8",
	} {
		key := tab.key(group)
		if key != want {
			t.Errorf("the key of %s is %s, want %s", group, key, want)
		}
		if back, ours := tab.group(key); back != group || !ours {
			t.Errorf("the group of %s is %s, %v, want %s", key, back, ours, group)
		}
	}
	for _, key := range []string{"a*b:r:0f", "a*b:r:{0f", "acb:r:{0f}", "a*b:b:{0f}77", "a*b:x:r:{0f}", "a*b",
		"a*b:i:i:u:0f", "a*b:i:i:t:0f:8", "a*b:i:u:i:u:0f", "a*b:i:t:i:u:0f", "a*b:i:u:i:t:0f:8", "a*b:i:t:i:t:0f:8"} {
		if group, ours := tab.group(key); ours {
			t.Errorf("%s is taken for the key of %s", key, group)
		}
	}
	for prefix, want := range map[string]string{
		"": `a\*b:*`, "r": `a\*b:r*`, "r/": `a\*b:r:{*`, "b/0": `a\*b:b:{0*`, "b/0f/": `a\*b:b:{0f}:*`, "i/": `a\*b:i:*`, "i/t/0": `a\*b:i:t:0*`,
	} {
		if got := tab.pattern(prefix); got != want {
			t.Errorf("the pattern of %q is %s, want %s", prefix, got, want)
		}
	}
}

// contents returns what Get does, as item=value in order.
func contents(t *testing.T, tab *table, group string, items ...string) string {
	t.Helper()
	rows, err := tab.Get(background, group, items...)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, r := range rows {
		all = append(all, r.Item+"="+string(r.Value))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func put(t *testing.T, tab *table, group, item, value string, expires time.Time) {
	t.Helper()
	if err := tab.Put(background, chunked.Row{Group: group, Item: item, Value: []byte(value), Expires: expires}, chunked.Always); err != nil {
		t.Fatal(err)
	}
}

func wantContents(t *testing.T, tab *table, group, want string, items ...string) {
	t.Helper()
	if got := contents(t, tab, group, items...); got != want {
		t.Errorf("%s %v holds %q, want %q", group, items, got, want)
	}
}

func TestRows(t *testing.T) {
	onEachSite(t, func(t *testing.T, url string) {
		tab := newTable(t, url)
		never := time.Time{}
		wantContents(t, tab, "r/0f", "")
		wantContents(t, tab, "r/0f", "", "a")
		put(t, tab, "r/0f", "a", "1", never)
		put(t, tab, "r/0f", "b", "", never)
		put(t, tab, "r/0f", "c/d", "\x00\r\n", never)
		put(t, tab, "r/0f", "a", "2", never)
		put(t, tab, "b/0f/1", "a", "3", never)
		put(t, tab, "i/u/0f", "x/y", "", never)
		put(t, tab, "i/u/0f", "z", "", never)
		put(t, tab, "i/u/0f", "z", "", never)
		wantContents(t, tab, "r/0f", "a=2 b= c/d=\x00\r\n")
		wantContents(t, tab, "r/0f", "a=2 b=", "b", "nothing", "a")
		wantContents(t, tab, "b/0f/1", "a=3")
		wantContents(t, tab, "i/u/0f", "x/y= z=")
		wantContents(t, tab, "i/u/0f", "z=", "nothing", "z")

		remove := func(group string, items ...string) {
			t.Helper()
			if err := tab.Delete(background, group, items...); err != nil {
				t.Fatal(err)
			}
		}
		remove("r/0f", "a", "nothing")
		remove("i/u/0f", "x/y", "nothing")
		remove("r/nothing")
		remove("r/nothing", "a")
		wantContents(t, tab, "r/0f", "b= c/d=\x00\r\n")
		wantContents(t, tab, "i/u/0f", "z=")
		remove("r/0f")
		remove("i/u/0f")
		wantContents(t, tab, "r/0f", "")
		wantContents(t, tab, "i/u/0f", "")
		wantContents(t, tab, "b/0f/1", "a=3")
	})
}

func TestConditions(t *testing.T) {
	onEachSite(t, func(t *testing.T, url string) {
		tab := newTable(t, url)
		try := func(group, value string, when chunked.When, expires time.Duration, want error) {
			t.Helper()
			r := chunked.Row{Group: group, Item: "a", Expires: time.Now().Add(expires)}
			if !isIndex(group) {
				r.Value = []byte(value)
			}
			if err := tab.Put(background, r, when); !errors.Is(err, want) || err != nil && want == nil {
				t.Errorf("put %s: %v, want %v", value, err, want)
			}
		}
		for _, group := range []string{"l/0f", "i/t/0f/8"} {
			put(t, tab, group, "neighbour", "", time.Time{}) // that keeps the key from expiring
			try(group, "1", chunked.IfPresent, time.Hour, store.ErrNotFound)
			try(group, "2", chunked.IfAbsent, time.Hour, nil)
			try(group, "3", chunked.IfAbsent, time.Hour, chunked.ErrPresent)
			try(group, "4", chunked.IfPresent, -time.Second, nil) // past its expiry already
			try(group, "5", chunked.IfAbsent, time.Hour, nil)
			try(group, "6", chunked.IfAbsent, time.Hour, chunked.ErrPresent)
		}
		wantContents(t, tab, "l/0f", "a=5", "a")

		var won atomic.Int32
		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() {
				err := tab.Put(background, chunked.Row{Group: "l/1f", Item: "a", Value: []byte{byte(i)}}, chunked.IfAbsent)
				switch {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, chunked.ErrPresent):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			t.Errorf("%d of 16 put a row that was to be absent", won.Load())
		}
	})
}

func TestExpiry(t *testing.T) {
	url := env(t, "REDIS_URL")
	tab, c := newTable(t, url), raw(t, url)
	ttl := func(group string) time.Duration {
		t.Helper()
		return time.Duration(do(t, c, "PTTL", tab.key(group)).(int64)) * time.Millisecond
	}
	const never = -1 * time.Millisecond
	want := func(group string, want time.Duration) {
		t.Helper()
		if got := ttl(group); (got == never) != (want == never) || got > want || got < want-time.Minute {
			t.Errorf("%s expires in %v, want %v", group, got, want)
		}
	}
	in := func(d time.Duration) time.Time { return time.Now().Add(d) }
	for _, group := range []string{"r/0f", "i/u/0f"} {
		put(t, tab, group, "a", "", in(time.Hour))
		want(group, time.Hour)
		put(t, tab, group, "b", "", in(time.Minute)) // shortens nothing
		want(group, time.Hour)
		put(t, tab, group, "b", "", in(3*time.Hour))
		want(group, 3*time.Hour)
		put(t, tab, group, "c", "", time.Time{}) // for ever stays for ever
		want(group, never)
		put(t, tab, group, "d", "", in(time.Hour))
		want(group, never)
	}
	for _, group := range []string{"r/1f", "i/u/1f"} { // for ever, until nothing in it is any more
		put(t, tab, group, "a", "", time.Time{})
		put(t, tab, group, "b", "", in(time.Minute))
		put(t, tab, group, "c", "", in(3*time.Hour))
		put(t, tab, group, "d", "", time.Time{})
		put(t, tab, group, "a", "", in(time.Hour))
		want(group, never)
		if err := tab.Delete(background, group, "b", "d"); err != nil {
			t.Fatal(err)
		}
		want(group, 3*time.Hour)
		put(t, tab, group, "d", "", time.Time{})
		want(group, never)
		put(t, tab, group, "d", "", in(4*time.Hour))
		want(group, 4*time.Hour)
	}
	keep := func(group string, expires time.Time) {
		t.Helper()
		if err := tab.Keep(background, group, expires); err != nil {
			t.Fatal(err)
		}
	}
	put(t, tab, "b/0f/1", "a", "", in(time.Hour))
	keep("b/0f/1", in(3*time.Hour))
	want("b/0f/1", 3*time.Hour)
	keep("b/0f/1", in(time.Minute))
	want("b/0f/1", 3*time.Hour)
	keep("b/0f/1", time.Time{})
	want("b/0f/1", never)
	keep("b/0f/1", in(time.Hour))
	want("b/0f/1", never)
	keep("b/nothing/1", in(time.Hour))
	keep("b/nothing/1", time.Time{})
	wantContents(t, tab, "b/nothing/1", "")

	put(t, tab, "r/far", "a", "", time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC))
	wantContents(t, tab, "r/far", "a=")
	put(t, tab, "r/farther", "a", "", time.Now().Add(1<<63-1).AddDate(30000, 0, 0))
	wantContents(t, tab, "r/farther", "a=")

	put(t, tab, "r/2f", "a", "1", in(50*time.Millisecond))
	put(t, tab, "r/past", "a", "1", in(-time.Hour))
	eventually(t, "what has expired is gone", func() bool {
		return contents(t, tab, "r/2f") == "" && contents(t, tab, "r/past") == ""
	})
}

func TestBodiesExpireSoonAfterTheirRecord(t *testing.T) {
	url := env(t, "REDIS_URL")
	s, c := openStore(t, url, nil), raw(t, url)
	r := fill(t, s, "https://example.com/", 300_000) // for an hour
	body := s.table.key(fmt.Sprintf("b/%x/%s", r.Key.Digest(), r.ID))
	lasts := func(want time.Duration) {
		t.Helper()
		got := time.Duration(do(t, c, "PTTL", body).(int64)) * time.Millisecond
		if got > want || got < want-time.Minute {
			t.Errorf("the body expires in %v, want %v", got, want)
		}
	}
	lasts(2 * time.Hour)
	u := r.Clone()
	u.KeepUntil = r.KeepUntil.Add(240 * time.Hour)
	if err := s.Update(background, u); err != nil {
		t.Fatal(err)
	}
	lasts(242 * time.Hour)
	if b, err := s.Open(background, r); err != nil {
		t.Error(err)
	} else {
		b.Close()
	}
}

// eventually waits until a condition of a real server holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); {
		if time.Now().After(end) {
			t.Fatalf("not so after 20 s: %s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

func TestIndexesArePrunedAsTheyGrow(t *testing.T) {
	url := env(t, "REDIS_URL")
	tab, c := newTable(t, url), raw(t, url)
	group := "i/t/0f/8"
	put(t, tab, group, "for-ever", "", time.Time{})
	put(t, tab, group, "an-hour", "", time.Now().Add(time.Hour))
	for i := range 100 {
		do(t, c, "ZADD", tab.key(group), fmt.Sprint(time.Now().Add(-time.Hour).UnixMilli()), fmt.Sprint("old", i))
	}
	for i := range 10 {
		put(t, tab, group, fmt.Sprint("new", i), "", time.Now().Add(time.Hour))
		if left := do(t, c, "ZCARD", tab.key(group)).(int64); i == 0 && left < 80 {
			t.Errorf("one put left %d of 103: it is to remove a few at a time", left)
		}
	}
	if got := do(t, c, "ZCARD", tab.key(group)).(int64); got != 12 {
		t.Errorf("%d entries are left, want 12", got)
	}
}

func TestLargeIndexIsReadInPages(t *testing.T) {
	onEachSite(t, func(t *testing.T, url string) {
		tab := newTable(t, url)
		var all sync.WaitGroup
		const n = 3000
		for k := range 10 {
			all.Go(func() {
				for i := range n / 10 {
					put(t, tab, "i/u/0f", fmt.Sprintf("%040d", k*n/10+i), "", time.Time{})
				}
			})
		}
		all.Wait()
		rows, err := tab.Get(background, "i/u/0f")
		if err != nil {
			t.Fatal(err)
		}
		seen := make(map[string]bool)
		for _, r := range rows {
			seen[r.Item] = true
		}
		if len(rows) != n || len(seen) != n {
			t.Errorf("%d rows, %d different, want %d", len(rows), len(seen), n)
		}
	})
}

func TestWhatAServerMayHaveEvictedOfIndexesIsFound(t *testing.T) {
	s := serve(t)
	admin := s.admin()
	command(t, admin, "ACL", "SETUSER", "uninformed", "on", "nopass", "~*", "+@all", "-info")
	for _, c := range []struct {
		policy, user string
		found        int // by a lost index
	}{
		{"noeviction", "", 0}, {"allkeys-lru", "", 1}, {"volatile-lru", "", 1}, {"noeviction", "uninformed:x@", 1},
	} {
		command(t, admin, "CONFIG", "SET", "maxmemory-policy", c.policy)
		command(t, admin, "FLUSHALL")
		st, err := Open(background, "redis://"+c.user+s.addr, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		r := &store.Record{Key: "k", ID: store.NewID(time.Now()), KeepUntil: time.Now().Add(time.Hour)}
		r.URL, r.Tags = "https://example.com/", []string{"tag"}
		w, err := st.Create(background, r)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		if err := w.Commit(r); err != nil {
			t.Fatal(err)
		}
		find := func(want int) {
			t.Helper()
			for _, q := range []store.Query{{URL: r.URL}, {Tag: "tag"}} {
				n := 0
				for _, err := range st.Find(background, q) {
					if err != nil {
						t.Fatal(err)
					}
					n++
				}
				if n != want {
					t.Errorf("%+v: Find %q %q yields %d, want %d", c, q.URL, q.Tag, n, want)
				}
			}
		}
		find(1)
		for group, err := range st.table.Groups(background, "i/") {
			if err != nil {
				t.Fatal(err)
			}
			do(t, admin, "UNLINK", st.table.key(group))
		}
		find(c.found)
	}
}

func TestGroups(t *testing.T) {
	onEachSite(t, func(t *testing.T, url string) {
		tab, c := newTable(t, url), raw(t, url)
		want := map[string]bool{}
		for i := range 2500 {
			group := fmt.Sprintf("b/%04x/%d", i, i)
			put(t, tab, group, "0", "x", time.Time{})
			want[group] = true
		}
		put(t, tab, "r/0001", "a", "x", time.Time{})
		put(t, tab, "i/u/0001", "a", "", time.Time{})
		foreign := tab.prefix + "b:not-ours"
		do(t, c, "SET", foreign, "x")
		defer do(t, c, "UNLINK", foreign)

		for prefix, n := range map[string]int{"b/": 2500, "b/00": 256, "b/0001/": 1, "b/0001/1": 1, "r/": 1, "i/": 1, "": 2502, "l/": 0} {
			seen := map[string]bool{}
			for group, err := range tab.Groups(background, prefix) {
				if err != nil {
					t.Fatal(err)
				}
				if !strings.HasPrefix(group, prefix) || prefix == "b/" && !want[group] {
					t.Errorf("%q yields %q", prefix, group)
				}
				seen[group] = true
			}
			if len(seen) != n {
				t.Errorf("%q yields %d groups, want %d", prefix, len(seen), n)
			}
		}
		for range tab.Groups(background, "b/") {
			break
		}
		ended, cancel := context.WithCancel(background)
		cancel()
		var last error
		for _, last = range tab.Groups(ended, "b/") {
		}
		if !errors.Is(last, context.Canceled) {
			t.Errorf("a scan whose context has ended yields %v last, want that", last)
		}
	})
}

func TestNamespacesDoNotSeeEachOther(t *testing.T) {
	url := env(t, "REDIS_URL")
	outer := newTable(t, url)
	groups := []string{"r/0f", "b/0f/1", "l/0f", "i/u/0f", "i/t/0f/8"}
	fill := func(tab *table, item string) {
		for _, group := range groups {
			put(t, tab, group, item, "", time.Time{})
		}
	}
	fill(outer, "outer")
	for _, more := range []string{"r", "b", "i", "i:u", "i:t"} {
		s, inner := openTable(t, url, &Options{Prefix: outer.prefix + more})
		defer s.Close()
		defer func() {
			for _, group := range groups {
				inner.Delete(background, group)
			}
		}()
		fill(inner, "inner")
		for _, group := range groups {
			wantContents(t, outer, group, "outer=")
			wantContents(t, inner, group, "inner=")
		}
		for _, tab := range []*table{outer, inner} {
			var all []string
			for group, err := range tab.Groups(background, "") {
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, group)
			}
			slices.Sort(all)
			if got, want := fmt.Sprint(slices.Compact(all)), "[b/0f/1 i/t/0f/8 i/u/0f l/0f r/0f]"; got != want {
				t.Errorf("below %s beside %s are %s, want %s", tab.prefix, inner.prefix, got, want)
			}
		}
	}
}

func TestPutKeepsNothingOfTheRow(t *testing.T) {
	tab := newTable(t, env(t, "REDIS_URL"))
	value := bytes.Repeat([]byte("a"), 256<<10)
	put(t, tab, "b/0f/1", "before", string(value), time.Time{})
	ctx, cancel := context.WithCancel(background)
	var all sync.WaitGroup
	for i := range 32 { // some are given up while they wait to be sent
		mine := bytes.Clone(value)
		all.Go(func() {
			tab.Put(ctx, chunked.Row{Group: "b/0f/1", Item: fmt.Sprint(i), Value: mine}, chunked.Always)
			clear(mine)
		})
	}
	cancel()
	all.Wait()
	put(t, tab, "b/0f/1", "after", "", time.Time{})
	rows, err := tab.Get(background, "b/0f/1")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if r.Item != "after" && !bytes.Equal(r.Value, value) {
			t.Errorf("row %s is not as it was put", r.Item)
		}
	}
}
