package larder

import (
	"context"
	"fmt"
	"iter"
	"net/http"
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
		send := func(method, path string) Decision {
			req, err := http.NewRequestWithContext(t.Context(), method, "http://example.com"+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := c.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			synctest.Wait()
			return Info(resp)
		}
		send("GET", "/a")
		if got := send("GET", "/a").Outcome; got != Hit {
			t.Fatalf("the second GET was a %v, want a hit", got)
		}
		begun := time.Now()
		send("POST", "/do")
		if d := time.Since(begun); d > 5*time.Second {
			t.Errorf("the POST took %v, want 5s", d)
		}
		if got := send("GET", "/a").Outcome; got != Miss {
			t.Errorf("the GET after the POST was a %v, want a miss", got)
		}
	})
}
