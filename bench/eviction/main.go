// Command eviction compares the hit ratio of larder's memory store with that of otter v2 and of plain LRU, on
// made traces of requests. Every cache gets the same capacity in bytes, and counts the same bytes for a record:
// those that the memory store counts. Run it with
//
//	go run ./eviction
package main

import (
	"container/list"
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/memory"
	"github.com/maypok86/otter/v2"
)

// A cache reports whether it has the record named i with a body of size bytes, and takes it if not.
type cache interface {
	request(i, size int) bool
}

func main() {
	keys := flag.Int("keys", 50_000, "distinct keys that are asked for by popularity")
	requests := flag.Int("requests", 1_000_000, "requests of a trace")
	runs := flag.Int("runs", 5, "seeds, of which the median is shown")
	share := flag.Float64("share", 0.1, "capacity as a share of all that is asked for by popularity")
	flag.Parse()

	caches := []struct {
		name string
		make func(capacity int64) cache
	}{{"larder memory", newLarder}, {"otter v2", newOtter}, {"LRU", newLRU}}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "hit %% (lowest-highest)\t")
	for _, c := range caches {
		fmt.Fprintf(w, "%s\t", c.name)
	}
	fmt.Fprintln(w)
	for _, tr := range traces {
		fmt.Fprintf(w, "%s\t", tr.name)
		for _, c := range caches {
			var ratios []float64
			for seed := range *runs {
				t := tr.make(*keys, *requests, uint64(seed))
				var all int64
				for i := range *keys {
					all += cost(t.size(i))
				}
				ratios = append(ratios, t.run(c.make(int64(float64(all)**share))))
			}
			slices.Sort(ratios)
			fmt.Fprintf(w, "%.1f (%.1f-%.1f)\t", ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1])
		}
		fmt.Fprintln(w)
	}
	w.Flush()
}

// run returns the hits in percent after the first quarter, of the requests that count.
func (t *trace) run(c cache) float64 {
	hits, counted := 0, 0
	for n, i := range t.requests {
		hit := c.request(int(i), t.size(int(i)))
		if n < len(t.requests)/4 || int(i) >= t.keys {
			continue
		}
		counted++
		if hit {
			hits++
		}
	}
	return 100 * float64(hits) / float64(counted)
}

func key(i int) store.Key { return store.Key(fmt.Sprintf("https://example.com/things/%040d", i)) }

func record(i, size int) *store.Record {
	r := &store.Record{Key: key(i), ID: store.NewID(time.Unix(0, 0)), Size: int64(size)}
	r.Header = http.Header{"Content-Type": {"text/plain"}}
	return r
}

// overhead is what the memory store counts for a record beside its body.
var overhead = func() int64 {
	s := new(memory.Store)
	put(s, record(0, 0))
	_, n, _ := s.Size(context.Background())
	return n
}()

func cost(size int) int64 { return int64(size) + overhead }

type larder struct{ store *memory.Store }

func newLarder(capacity int64) cache { return larder{&memory.Store{MaxBytes: capacity}} }

func (l larder) request(i, size int) bool {
	if found, _ := l.store.Lookup(context.Background(), key(i)); len(found) > 0 {
		return true
	}
	put(l.store, record(i, size))
	return false
}

var zeros [1 << 20]byte

func put(s *memory.Store, r *store.Record) {
	w, err := s.Create(context.Background(), r)
	if err != nil {
		panic(err)
	}
	defer w.Close()
	if _, err := w.Write(zeros[:r.Size]); err != nil {
		panic(err)
	}
	if err := w.Commit(r); err != nil {
		panic(err)
	}
}

type otterCache struct{ *otter.Cache[int, int] }

func newOtter(capacity int64) cache {
	return otterCache{otter.Must(&otter.Options[int, int]{
		MaximumWeight: uint64(capacity),
		Weigher:       func(_, size int) uint32 { return uint32(cost(size)) },
		Executor:      func(f func()) { f() },
	})}
}

func (c otterCache) request(i, size int) bool {
	if _, ok := c.GetIfPresent(i); ok {
		return true
	}
	c.Set(i, size)
	return false
}

type lru struct {
	capacity, used int64
	order          *list.List // of [2]int: i, size
	at             map[int]*list.Element
}

func newLRU(capacity int64) cache {
	return &lru{capacity: capacity, order: list.New(), at: map[int]*list.Element{}}
}

func (c *lru) request(i, size int) bool {
	if e := c.at[i]; e != nil {
		c.order.MoveToFront(e)
		return true
	}
	c.at[i] = c.order.PushFront([2]int{i, size})
	for c.used += cost(size); c.used > c.capacity; {
		last := c.order.Remove(c.order.Back()).([2]int)
		delete(c.at, last[0])
		c.used -= cost(last[1])
	}
	return false
}
