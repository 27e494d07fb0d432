package larder

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"

	"github.com/larder-go/larder/rfc9111"
	"github.com/larder-go/larder/store"
)

func TestCacheStatus(t *testing.T) {
	id := store.NewID(time.Unix(0, 0))
	for _, c := range []struct {
		name string
		d    Decision
		as   string
		want string
	}{
		{"a hit", Decision{Outcome: Hit, ID: id, Lifetime: time.Minute, Age: 20 * time.Second, Reason: "fresh"}, "c", `c; hit; ttl=40; detail="fresh"`},
		{"a stale hit", Decision{Outcome: Stale, ID: id, Lifetime: time.Minute, Age: 70 * time.Second}, "c", "c; hit; ttl=-10"},
		{"fresh for ever", Decision{Outcome: Hit, ID: id, Lifetime: Forever}, "c", "c; hit"},
		{"a miss", Decision{Outcome: Miss, Forwarded: "uri-miss", ForwardStatus: 200, Stored: true, ID: id, Lifetime: time.Minute}, "c", "c; fwd=uri-miss; fwd-status=200; ttl=60; stored"},
		{"a miss that is not stored", Decision{Outcome: Miss, Forwarded: "miss", ForwardStatus: 404}, "c", "c; fwd=miss; fwd-status=404"},
		{"one request for several", Decision{Outcome: Miss, Forwarded: "uri-miss", ForwardStatus: 200, Collapsed: true}, "c", "c; fwd=uri-miss; fwd-status=200; collapsed"},
		{"one request for several, in vain", Decision{Outcome: Miss, Forwarded: "uri-miss", ForwardStatus: 200, NotShared: true}, "c", "c; fwd=uri-miss; fwd-status=200; collapsed=?0"},
		{"validated", Decision{Outcome: Revalidated, Forwarded: "stale", ForwardStatus: 304, ID: id, Lifetime: time.Minute}, "c", "c; fwd=stale; fwd-status=304; ttl=60"},
		{"stale since the origin failed", Decision{Outcome: Stale, Forwarded: "stale", ForwardStatus: 503, ID: id, Age: time.Second}, "c", "c; fwd=stale; fwd-status=503; ttl=-1"},
		{"stale since the origin cannot be reached", Decision{Outcome: Stale, Forwarded: "stale", ID: id, Age: time.Second}, "c", "c; fwd=stale; ttl=-1"},
		{"bypassed", Decision{Outcome: Bypassed, Forwarded: "bypass", ForwardStatus: 200}, "c", "c; fwd=bypass; fwd-status=200"},
		{"what is of no meaning without fwd", Decision{Outcome: Hit, ForwardStatus: 200, Stored: true, Collapsed: true, NotShared: true}, "c", "c; hit"},

		{"a name that is a host", Decision{}, "cache-3.example.com:80/x", "cache-3.example.com:80/x"},
		{"a name that is an address", Decision{}, "192.0.2.1", `"192.0.2.1"`},
		{"a name with a space", Decision{}, "my cache", `"my cache"`},
		{"a name with quotes", Decision{}, `a"\`, `"a\"\\"`},
		{"a name beyond ASCII", Decision{}, "größe\x00\x7f", `"gr%c3%b6%c3%9fe%00%7f"`},
		{"no name", Decision{}, "", `""`},
		{"any detail", Decision{Reason: "a \"b\"\\\nü"}, "c", `c; detail="a \"b\"\\%0a%c3%bc"`},
	} {
		got := c.d.CacheStatus(c.as)
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
		checkStatus(t, got)
	}
}

// checkStatus checks that s is one member of Cache-Status whose parameters have the types that RFC 9211 §2 gives them.
func checkStatus(t *testing.T, s string) {
	t.Helper()
	list, err := httpsfv.UnmarshalList([]string{s})
	if err != nil || len(list) != 1 {
		t.Fatalf("%s: %d members, error %v", s, len(list), err)
	}
	item := list[0].(httpsfv.Item)
	switch item.Value.(type) {
	case string, httpsfv.Token:
	default:
		t.Errorf("%s: the name is a %T", s, item.Value)
	}
	_, hit := item.Params.Get("hit")
	_, fwd := item.Params.Get("fwd")
	if hit && fwd {
		t.Errorf("%s: hit and fwd exclude each other", s)
	}
	for _, name := range item.Params.Names() {
		v, _ := item.Params.Get(name)
		ok := false
		switch name {
		case "hit", "stored":
			ok = v == true
		case "collapsed":
			_, ok = v.(bool)
		case "fwd":
			_, ok = v.(httpsfv.Token)
		case "fwd-status", "ttl":
			_, ok = v.(int64)
		case "key", "detail":
			_, ok = v.(string)
		}
		if !ok || !fwd && (name == "fwd-status" || name == "stored" || name == "collapsed") {
			t.Errorf("%s: %s is %#v", s, name, v)
		}
	}
}

func FuzzCacheStatus(f *testing.F) {
	f.Add("larder", "stale", `a "b"`)
	f.Add("é", "", "\\\n")
	f.Fuzz(func(t *testing.T, name, fwd, detail string) {
		if fwd != "" {
			fwd = "uri-miss"
		}
		checkStatus(t, Decision{Outcome: Hit, Forwarded: fwd, ForwardStatus: 200, Stored: true, Reason: detail}.CacheStatus(name))
	})
}

func TestForwarded(t *testing.T) {
	whole, part := []*store.Record{{Head: store.Head{Status: 200}}}, []*store.Record{{Head: store.Head{Status: http.StatusPartialContent}}}
	fresh := func(why rfc9111.Reason) rfc9111.Verdict { return rfc9111.Verdict{Reason: why, Lifetime: time.Minute} }
	none := func(why rfc9111.Reason) rfc9111.Verdict { return rfc9111.Verdict{Reason: why, Index: -1} }
	for _, c := range []struct {
		name    string
		found   []*store.Record
		mode    Mode
		verdict rfc9111.Verdict
		want    string
	}{
		{"nothing", nil, Standard, none(rfc9111.NothingStored), "uri-miss"},
		{"nothing, and the caller wants it anew", nil, ForceRefresh, none(rfc9111.RequestNoCache), "uri-miss"},
		{"other variants", whole, Standard, none(rfc9111.NoVariant), "vary-miss"},
		{"for another method", whole, Standard, none(rfc9111.MethodDiffers), "miss"},
		{"not for this cache", whole, Standard, none(rfc9111.PrivateResponse), "miss"},
		{"its body is gone", whole, Standard, none(rfc9111.NothingStored), "miss"},
		{"the caller wants it anew", whole, ForceRefresh, none(rfc9111.RequestNoCache), "request"},
		{"the request says no-cache", whole, Standard, fresh(rfc9111.RequestNoCache), "request"},
		{"too old for the request", whole, Standard, fresh(rfc9111.RequestMaxAge), "request"},
		{"not fresh for long enough", whole, Standard, fresh(rfc9111.RequestMinFresh), "request"},
		{"stale, and the request says no-cache", whole, Standard, rfc9111.Verdict{Reason: rfc9111.RequestNoCache}, "stale"},
		{"stale", whole, Standard, rfc9111.Verdict{Reason: rfc9111.Stale}, "stale"},
		{"the response says no-cache", whole, Standard, fresh(rfc9111.ResponseNoCache), "stale"},
		{"a part", part, Standard, fresh(rfc9111.Fresh), "partial"},
		{"a stale part", part, Standard, rfc9111.Verdict{Reason: rfc9111.Stale}, "stale"},
	} {
		x := &exchange{found: c.found, records: c.found, ask: ask{mode: c.mode}, verdict: c.verdict}
		if got := forwarded(x); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestCacheStatusShowsTheKeyOnRequest(t *testing.T) {
	for _, show := range []bool{false, true} {
		c := &Cache{Name: "c", ShowKey: show, Base: oneOrigin{http.Header{"Cache-Control": {"max-age=60"}, "Cache-Status": {"edge; hit", "mid; fwd=miss"}}, []byte("hi")}}
		for range 2 {
			resp, err := c.Client().Get("http://example.com/")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			got := resp.Header["Cache-Status"]
			if len(got) != 3 || got[0] != "edge; hit" || got[1] != "mid; fwd=miss" {
				t.Fatalf("got %q", got)
			}
			checkStatus(t, got[2])
			if strings.Contains(got[2], `; key="`+hexDigest(string(Info(resp).Key))+`"`) != show {
				t.Errorf("ShowKey %v: got %s", show, got[2])
			}
		}
	}
}
