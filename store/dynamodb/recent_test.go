package dynamodb

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/larder-go/larder/store/chunked"
)

func TestRecent(t *testing.T) {
	now := time.Unix(1e9, 0)
	var r recent
	if r.has("a", now) || r.any(now) {
		t.Error("nothing was written, and something is recent")
	}
	r.add("a", now)
	r.add("b", now.Add(remembered-1))
	for _, c := range []struct {
		after   time.Duration
		a, b, c bool
	}{
		{0, true, true, false},
		{remembered - 1, true, true, false},
		{remembered, true, true, false},
		{2*remembered - 2, true, true, false},
		{3 * remembered, false, false, false},
	} {
		at := now.Add(c.after)
		if a, b, o := r.has("a", at), r.has("b", at), r.has("c", at); a != c.a || b != c.b || o != c.c || r.any(at) != (a || b) {
			t.Errorf("after %v: a %v, b %v, c %v, any %v; want %v, %v, %v", c.after, a, b, o, r.any(at), c.a, c.b, c.c)
		}
	}
	now = now.Add(time.Hour)
	for i := range 2 * mostRecent {
		r.add(fmt.Sprint(i), now)
	}
	if n := len(r.young) + len(r.old); n > mostRecent {
		t.Errorf("%d groups are remembered, want %d at most", n, mostRecent)
	}
	if last := fmt.Sprint(2*mostRecent - 1); !r.has(last, now.Add(remembered-1)) {
		t.Error("what was written after too many others is not taken for recent")
	}
	if now = now.Add(3 * remembered); r.has("1", now) || r.any(now) {
		t.Error("recent for ever")
	}
}

// TestOwnWritesAreSeen looks at which reads are strongly consistent; the server is always so.
func TestOwnWritesAreSeen(t *testing.T) {
	f := newFront(t)
	writer := open(t, &Options{Endpoint: f.URL}).table
	strongly := func(o Options) *table {
		o.Endpoint = f.URL
		s, err := Open(ctx, "dynamodb://"+writer.name, &o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s.table
	}
	other, consistent := strongly(Options{}), strongly(Options{Consistent: true})
	put(t, writer, chunked.Row{Group: "r/a", Item: "1"})
	put(t, writer, chunked.Row{Group: "r/a", Item: "2"})
	for _, c := range []struct {
		name string
		do   func(tb *table)
	}{
		{"Get of a group", func(tb *table) { tb.Get(ctx, "r/a") }},
		{"Get of one item", func(tb *table) { tb.Get(ctx, "r/a", "1") }},
		{"Get of two items", func(tb *table) { tb.Get(ctx, "r/a", "1", "2") }},
		{"Groups", func(tb *table) {
			for range tb.Groups(ctx, "") {
			}
		}},
	} {
		for name, of := range map[string]struct {
			tb   *table
			want bool
		}{
			"the writer":                   {writer, true},
			"another process":              {other, false},
			"another, that wants it to be": {consistent, true},
		} {
			f.calls()
			c.do(of.tb)
			for _, call := range f.calls() {
				if got := bytes.Contains(call.body, []byte(`"ConsistentRead":true`)); got != of.want {
					t.Errorf("%s by %s: strongly consistent: %v, want %v", c.name, name, got, of.want)
				}
			}
		}
	}
	// Whatever the options say:
	for name, do := range map[string]func() error{
		"a Delete looks for a group's items": func() error { return other.Delete(ctx, "r/b") },
		"a lease is looked at":               func() error { _, err := other.Get(ctx, "l/b", "l"); return err },
	} {
		f.calls()
		if err := do(); err != nil {
			t.Error(err)
		}
		if got := f.calls(); len(got) != 1 || !bytes.Contains(got[0].body, []byte(`"ConsistentRead":true`)) {
			t.Errorf("%s by %s, want one strongly consistent read", name, got)
		}
	}
}

// TestANamedItemIsLookedForTwice lets a read that is not strongly consistent miss what is there.
func TestANamedItemIsLookedForTwice(t *testing.T) {
	f := newFront(t)
	writer := open(t, nil).table
	put(t, writer, chunked.Row{Group: "b/a", Item: "1", Value: []byte("one")})
	put(t, writer, chunked.Row{Group: "b/a", Item: "2", Value: []byte("two")})
	f.answer(func(w http.ResponseWriter, c call) bool {
		if bytes.Contains(c.body, []byte(`"ConsistentRead":true`)) {
			return false
		}
		send(w, 200, struct{}{})
		return true
	})
	reader, err := Open(ctx, "dynamodb://"+writer.name, &Options{Endpoint: f.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if got := get(t, reader.table, "b/a", "1"); got["1"] != "one" {
		t.Errorf("one item: got %q", got)
	}
	if got := get(t, reader.table, "b/a", "1", "2", "3"); len(got) != 2 || got["1"] != "one" || got["2"] != "two" {
		t.Errorf("several items: got %q", got)
	}
}
