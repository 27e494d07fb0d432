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
	// Reason says why, in a short sentence, and Section where that is written ("RFC 9111 §4.2"); "" where it is
	// not the standard's.
	Reason, Section string
	// Rule is the Match of the rule that applied; "" if it was none, or one for every URL.
	Rule string
	// Key is what the response is stored under; "" if it has none.
	Key store.Key
	// ID names the stored response; zero if there is none.
	ID store.ID
	// Age and Lifetime of the stored response, when it was decided on; for one from the origin, those it is
	// stored with.
	Age, Lifetime time.Duration
	// Forwarded says why the origin was asked, in the words of RFC 9211 §2.2: bypass, method, uri-miss,
	// vary-miss, stale, request, partial; "" if it was not.
	Forwarded string
	// ForwardStatus is the origin's status, if it was asked and answered.
	ForwardStatus int
	// Stored: the response from the origin is being stored. NotStored says why it is not.
	Stored    bool
	NotStored string
	// Collapsed: the origin was asked once for several callers, of which this one came later.
	Collapsed bool
	// Err is the fault that a stale response stands in for.
	Err error
}

// TTL returns how much longer the response is fresh: negative if it is stale, Forever if it always will be.
func (d Decision) TTL() time.Duration {
	if d.Lifetime == Forever {
		return Forever
	}
	return d.Lifetime - d.Age
}

// CacheStatus returns d as one member of the Cache-Status field (RFC 9211) for a cache of that name.
func (d Decision) CacheStatus(name string) string {
	b := make([]byte, 0, 96)
	b = appendToken(b, name)
	switch d.Outcome {
	case Hit, Stale:
		b = append(b, "; hit"...)
	}
	if d.Forwarded != "" {
		b = append(append(b, "; fwd="...), d.Forwarded...)
	}
	if d.ForwardStatus != 0 {
		b = strconv.AppendInt(append(b, "; fwd-status="...), int64(d.ForwardStatus), 10)
	}
	if d.ID != (store.ID{}) && d.Lifetime != Forever {
		b = strconv.AppendInt(append(b, "; ttl="...), int64(d.TTL().Truncate(time.Second)/time.Second), 10)
	}
	if d.Stored {
		b = append(b, "; stored"...)
	}
	if d.Collapsed {
		b = append(b, "; collapsed"...)
	}
	if d.Reason != "" {
		b = strconv.AppendQuoteToASCII(append(b, "; detail="...), d.Reason)
	}
	return string(b)
}

// appendToken appends name as a structured field's token, or as a string if it is none (RFC 9651 §3.3).
func appendToken(b []byte, name string) []byte {
	for i := range len(name) {
		c := name[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || !('0' <= c && c <= '9') && strings.IndexByte("!#$%&'*+-.^_`|~:/", c) < 0) {
			return strconv.AppendQuoteToASCII(b, name)
		}
	}
	return append(b, name...)
}

// Info returns how resp came about; a Decision with Outcome None if it did not come through a Cache. It also
// works on a response whose body has been wrapped, as http.Client does when it has a Timeout.
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

// decided is the request of a response, and its context with the Decision: in one piece, to spare allocations.
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

// attach makes d findable by Info, and, if the cache has a name, by everybody (RFC 9211).
func (c *Cache) attach(resp *http.Response, req *http.Request, d *decided) {
	d.Context = req.Context()
	d.request = *req.WithContext(d)
	resp.Request = &d.request
	if c.Name != "" {
		resp.Header["Cache-Status"] = append(resp.Header["Cache-Status"], d.decision.CacheStatus(c.Name))
	}
}
