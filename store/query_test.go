package store

import (
	"testing"
	"time"
)

func TestQueryMatch(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	r := &Record{Key: "key", ID: ID{1}, FreshUntil: at, KeepUntil: at, Tags: []string{"red", "blue"}}
	r.URL, r.Received = "https://Example.com:8443/a/b?c", at
	endless := &Record{Key: "endless", ID: ID{2}}
	endless.URL, endless.Received = "https://[::1]/a", at
	odd := &Record{Key: "odd", ID: ID{3}}
	odd.URL = "%zz://"
	yes := func(*Record) bool { return true }
	no := func(*Record) bool { return false }
	for _, c := range []struct {
		name string
		q    Query
		r    *Record
		want bool
	}{
		{"the zero query means all", Query{}, r, true},
		{"the zero query means all, also what has no host", Query{}, odd, true},
		{"the key", Query{Key: "key"}, r, true},
		{"another key", Query{Key: "ke"}, r, false},
		{"the id", Query{ID: ID{1}}, r, true},
		{"another id", Query{ID: ID{2}}, r, false},
		{"the URL", Query{URL: "https://Example.com:8443/a/b?c"}, r, true},
		{"the start of the URL is not the URL", Query{URL: "https://Example.com:8443/a/b"}, r, false},
		{"a prefix", Query{Prefix: "https://Example.com:8443/a/"}, r, true},
		{"the whole URL is a prefix", Query{Prefix: r.URL}, r, true},
		{"more than the URL is no prefix", Query{Prefix: r.URL + "d"}, r, false},
		{"the host with its port", Query{Host: "example.COM:8443"}, r, true},
		{"the host without its port", Query{Host: "example.com"}, r, false},
		{"the end of the host", Query{Host: "com:8443"}, r, false},
		{"an address", Query{Host: "[::1]"}, endless, true},
		{"a URL that cannot be read has no host", Query{Host: "zz"}, odd, false},
		{"a tag", Query{Tag: "blue"}, r, true},
		{"another tag", Query{Tag: "re"}, r, false},
		{"no tags", Query{Tag: "red"}, endless, false},
		{"stale before", Query{Stale: at.Add(1)}, r, true},
		{"stale at that moment is not before", Query{Stale: at}, r, false},
		{"never stale", Query{Stale: at.Add(time.Hour)}, endless, false},
		{"ended before", Query{Ended: at.Add(1)}, r, true},
		{"ended at that moment is not before", Query{Ended: at}, r, false},
		{"never ended", Query{Ended: at.Add(time.Hour)}, endless, false},
		{"received before", Query{Before: at.Add(1)}, r, true},
		{"received at that moment is not before", Query{Before: at}, r, false},
		{"no time of receipt is before all", Query{Before: at}, odd, true},
		{"the filter agrees", Query{Filter: yes}, r, true},
		{"the filter disagrees", Query{Filter: no}, r, false},
		{"the filter alone is not enough", Query{Key: "other", Filter: yes}, r, false},
		{"the limit does not matter", Query{Limit: 1, Key: "key"}, r, true},
		{"all fields", Query{Key: "key", ID: ID{1}, URL: r.URL, Prefix: "https:", Host: "example.com:8443", Tag: "red",
			Stale: at.Add(1), Ended: at.Add(1), Before: at.Add(1), Filter: yes}, r, true},
	} {
		if got := c.q.Match(c.r); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestHost(t *testing.T) {
	for url, want := range map[string]string{
		"https://example.com/a": "example.com", "http://example.com:8080": "example.com:8080", "https://user:secret@example.com/": "example.com",
		"https://[::1]:443/": "[::1]:443", "/path": "", "": "", "%zz": "", "mailto:a@example.com": "",
	} {
		if got := Host(url); got != want {
			t.Errorf("Host(%q): %q, want %q", url, got, want)
		}
	}
}
