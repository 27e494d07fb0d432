package larder

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/memory"
)

// farList is a distant store that takes a second to list something.
type farList struct{ store.Store }

func (s farList) Find(ctx context.Context, q store.Query) iter.Seq2[*store.Record, error] {
	return func(yield func(*store.Record, error) bool) {
		time.Sleep(time.Second) // of the bubble's clock
		s.Store.(store.Finder).Find(ctx, q)(yield)
	}
}

// TestManyGroupsAtOnce shows that the cache groups which an unsafe request makes invalid are not removed from a distant
// store one after the other.
func TestManyGroupsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var groups []string
		for i := range 40 {
			groups = append(groups, fmt.Sprintf(`"g%d"`, i))
		}
		list := strings.Join(groups, ", ")
		c := &Cache{Base: unheeding{"Cache-Groups": {list}, "Cache-Group-Invalidation": {list}}, Store: farList{new(memory.Store)}}
		send(t, c, "GET", "/a")
		synctest.Wait()
		if got := send(t, c, "GET", "/a"); got != Hit {
			t.Fatalf("the second GET was a %v, want a hit", got)
		}
		begun := time.Now()
		send(t, c, "POST", "/do")
		if d := time.Since(begun); d > 5*time.Second {
			t.Errorf("the POST took %v, want at most 5s", d)
		}
		if got := send(t, c, "GET", "/a"); got != Miss {
			t.Errorf("the GET after the POST was a %v, want a miss", got)
		}
	})
}

// TestGroupsAreBounded shows how many groups of a response are heeded, and how long their names may be.
func TestGroupsAreBounded(t *testing.T) {
	x := &exchange{req: &http.Request{URL: &url.URL{Scheme: "HTTP", Host: "Example.com:80"}}}
	longest := strings.Repeat("g", maxGroupName)
	names := append([]string{longest + "g"}, slices.Repeat([]string{longest}, maxGroups+1)...)
	if want := slices.Repeat([]string{"cache-group:http://example.com/" + longest}, maxGroups); !slices.Equal(x.groupTags(names), want) {
		t.Errorf("got %q", x.groupTags(names))
	}
}

// send sends a request through c and returns what became of it.
func send(t *testing.T, c *Cache, method, path string) Outcome {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://example.com"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return Info(resp).Outcome
}

// slowUpdate is a distant store that takes a second to update something.
type slowUpdate struct{ store.Store }

func (s slowUpdate) Update(ctx context.Context, r *store.Record) error {
	time.Sleep(time.Second) // of the bubble's clock
	return s.Store.Update(ctx, r)
}

func (s slowUpdate) Find(ctx context.Context, q store.Query) iter.Seq2[*store.Record, error] {
	return s.Store.(store.Finder).Find(ctx, q)
}

// joining answers a GET with what is in no group, its validation with a 304 that puts it into one, and others with what
// makes that group invalid.
type joining struct{}

func (joining) RoundTrip(req *http.Request) (*http.Response, error) {
	resp := &http.Response{StatusCode: http.StatusOK, Body: http.NoBody,
		Header: http.Header{"Cache-Control": {"max-age=60"}, "Etag": {`"1"`}}}
	switch {
	case req.Method != http.MethodGet:
		resp.Header = http.Header{"Cache-Group-Invalidation": {`"g"`}}
	case req.Header["If-None-Match"] != nil:
		resp.StatusCode = http.StatusNotModified
		resp.Header["Cache-Groups"] = []string{`"g"`}
	}
	return resp, nil
}

// TestGroupJoinedTooLate shows that what a 304 puts into a group is removed if the group becomes invalid while that is
// stored, and cannot be found by it yet.
func TestGroupJoinedTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Cache{Base: joining{}, Store: slowUpdate{new(memory.Store)}}
		send(t, c, "GET", "/a")
		time.Sleep(time.Minute) // of the bubble's clock
		if got := send(t, c, "GET", "/a"); got != Revalidated {
			t.Fatalf("the second GET was %v, want revalidated", got)
		}
		synctest.Wait() // it is being updated
		send(t, c, "POST", "/do")
		time.Sleep(2 * time.Second) // of the bubble's clock
		if got := send(t, c, "GET", "/a"); got != Miss {
			t.Errorf("the GET after the POST was %v, want a miss", got)
		}
	})
}
