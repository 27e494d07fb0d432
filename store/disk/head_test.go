package disk

import (
	"errors"
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
)

func FuzzDecodeHead(f *testing.F) {
	id := store.NewID(time.Unix(1_800_000_000, 0))
	head := store.Head{URL: "https://example.com/", Header: http.Header{"Etag": {"1"}}}
	r := &store.Record{Key: "key", ID: id, Size: 5, Head: head}
	for _, inline := range []bool{true, false} {
		b, err := encodeHead(r, []byte("hello"), inline)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeHead(b, "key", id, store.DecodeHead)
		switch {
		case err != nil && !errors.Is(err, store.ErrCorrupt):
			t.Errorf("error %v is not ErrCorrupt", err)
		case err == nil && (r.Key != "key" || r.ID != id || r.Body != nil && int64(len(r.Body)) != r.Size):
			t.Errorf("decoded as %+v", r)
		}
	})
}

func TestNanosKeepTheOrderOfTimes(t *testing.T) {
	for _, c := range []struct {
		name string
		time time.Time
		want int64
	}{
		{"no time", time.Time{}, 0},
		{"long ago", time.Date(1000, 1, 1, 0, 0, 0, 0, time.UTC), 1},
		{"the epoch, which is not no time", time.Unix(0, 0), 1},
		{"a nanosecond", time.Unix(1, 1), 1_000_000_001},
		{"in 7000 years", time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC), math.MaxInt64},
	} {
		if got := nanos(c.time); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestGroupsSortsTheNamesOfAFolder(t *testing.T) {
	const a, b = "00000000000000000000000000000001", "00000000000000000000000000000002"
	got := groups([]string{"notes", b + ".head", a + "-0000000200000000.head", a + "-00000001ffffffff.head",
		a + ".head", a + "-0123456789abcdef.temp", a + ".temp", b + ".heads", b + "-1.head", b + ".body", ".", a})
	if len(got) != 2 || got[0].id.String() != b || got[1].id.String() != a {
		t.Fatalf("groups: %+v; want b, then a", got)
	}
	p := place{name: "x"}
	if g := &got[0]; !g.base || len(g.updates) != 0 || p.head(g) != "x/"+b+".head" {
		t.Errorf("b: %+v", g)
	}
	last := a + "-0000000200000000.head"
	if g := &got[1]; !g.base || len(g.updates) != 2 || p.head(g) != "x/"+last {
		t.Errorf("a: %+v", g)
	}
	if name := updateName(got[1].id, last); name <= last || len(name) != len(last) {
		t.Errorf("the next update is %s", name)
	}
}
