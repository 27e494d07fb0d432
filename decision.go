package larder

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/larder-go/larder/store"
)

// Outcome is where a response came from.
type Outcome uint8

const (
	// None is the outcome of a response that did not come through a Cache.
	None Outcome = iota
	// Hit: from the store, fresh.
	Hit
	// Stale: from the store, stale, as the standard or the caller allows.
	Stale
	// Revalidated: from the store, after the origin said that it still holds (304).
	Revalidated
	// Miss: from the origin, since nothing stored could be used.
	Miss
	// Bypassed: from the origin; the cache takes no part in such requests.
	Bypassed
	// Refused: the 504 for a request that wanted stored responses only.
	Refused
)

var outcomes = [...]string{"none", "hit", "stale", "revalidated", "miss", "bypassed", "refused"}

// String returns the outcome in one lower-case word.
func (o Outcome) String() string { return outcomes[o] }

// Decision says how a response came about. It feeds Cache-Status, the log and the events.
type Decision struct {
	Outcome Outcome
	// Reason says why, in a short sentence, and Section where the standard says so ("RFC 9111 §4.2"); "" if it does
	// not.
	Reason, Section string
	// Rule is the Match of the rule that applied; "" if none did, or one for every URL.
	Rule string
	// Key is the key that the response is stored under; "" if it has none.
	Key store.Key
	// ID names the stored response; zero if there is none.
	ID store.ID
	// Age and Lifetime are those of the stored response at the time of the decision; for a response from the origin,
	// those with which it is stored.
	Age, Lifetime time.Duration
	// Forwarded says why the origin was asked, in the words of RFC 9211 §2.2: bypass, method, uri-miss,
	// vary-miss, miss, request, stale, partial; "" if it was not.
	Forwarded string
	// ForwardStatus is the origin's status, if it was asked and answered.
	ForwardStatus int
	// Stored says that the response from the origin is being stored; NotStored why it is not.
	Stored    bool
	NotStored string
	// Collapsed says that the origin was asked once for several callers, of which this one came later.
	Collapsed bool
	// NotShared says that this caller waited for another's request to the origin, and then had to ask for itself.
	NotShared bool
	// Err is the failure because of which a stale response is served.
	Err error
}

// TTL returns how much longer the response is fresh: negative if it is stale, Forever if it always will be.
func (d Decision) TTL() time.Duration {
	if d.Lifetime == Forever {
		return Forever
	}
	return d.Lifetime - d.Age
}

// CacheStatus returns d as one member of the Cache-Status field (RFC 9211) for a cache of that name, without the key.
func (d Decision) CacheStatus(name string) string {
	return string(d.appendStatus(make([]byte, 0, 128), name))
}

func (d *Decision) appendStatus(b []byte, name string) []byte {
	b = appendTokenOrString(b, name)
	if d.Forwarded == "" { // hit and fwd exclude each other (RFC 9211 §2.1)
		if d.Outcome == Hit || d.Outcome == Stale {
			b = append(b, "; hit"...)
		}
	} else {
		b = append(append(b, "; fwd="...), d.Forwarded...)
		if d.ForwardStatus != 0 {
			b = strconv.AppendInt(append(b, "; fwd-status="...), int64(d.ForwardStatus), 10)
		}
	}
	if d.ID != (store.ID{}) && d.Lifetime != Forever {
		b = strconv.AppendInt(append(b, "; ttl="...), int64(d.TTL()/time.Second), 10)
	}
	if d.Forwarded != "" { // else these mean nothing (RFC 9211 §2.5, §2.6)
		if d.Stored {
			b = append(b, "; stored"...)
		}
		if d.Collapsed {
			b = append(b, "; collapsed"...)
		} else if d.NotShared {
			b = append(b, "; collapsed=?0"...)
		}
	}
	if d.Reason != "" {
		b = appendString(append(b, "; detail="...), d.Reason)
	}
	return b
}

// appendTokenOrString appends s as a structured field's token or, if s is not a token, as a string (RFC 9651 §3.3).
func appendTokenOrString(b []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || !('0' <= c && c <= '9') && strings.IndexByte("!#$%&'*+-.^_`|~:/", c) < 0) {
			return appendString(b, s)
		}
	}
	if s == "" {
		return appendString(b, s)
	}
	return append(b, s...)
}

// appendString appends s as a structured field's string (RFC 9651 §3.3.3). A string is ASCII, so other bytes are
// written as % and two hexadecimal digits.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c >= 0x7f:
			b = append(b, '%', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// Info returns how resp came about: a Decision with Outcome None if it did not come through a Cache. It works even if
// the body of resp was wrapped, as by an http.Client with a Timeout.
func Info(resp *http.Response) Decision {
	if resp == nil || resp.Request == nil {
		return Decision{}
	}
	d, _ := resp.Request.Context().Value(decisionKey{}).(*Decision)
	if d == nil {
		return Decision{}
	}
	return *d
}

type decisionKey struct{}

// decided is the request of a response, and its context with the Decision, in one allocation.
type decided struct {
	context.Context
	decision Decision
	request  http.Request
}

func (d *decided) Value(key any) any {
	if _, ok := key.(decisionKey); ok {
		return &d.decision
	}
	return d.Context.Value(key)
}

// attach makes d available to Info. If the cache has a name, it also appends d to the Cache-Status field (RFC 9211),
// after what caches nearer to the origin say; not to a response that the cache has made itself (§2).
func (c *Cache) attach(resp *http.Response, req *http.Request, d *decided) {
	d.Context = req.Context()
	d.request = *req.WithContext(d)
	resp.Request = &d.request
	if c.Name == "" || d.decision.Outcome == Refused {
		return
	}
	b := d.decision.appendStatus(make([]byte, 0, 128), c.Name)
	if c.ShowKey && d.decision.Key != "" {
		b = append(append(append(b, "; key=\""...), hexDigest(string(d.decision.Key))...), '"')
	}
	resp.Header["Cache-Status"] = append(resp.Header["Cache-Status"], string(b))
}
