package integration

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-go/larder"
)

func init() { children["leases"] = leasesChild }

// leasesResult is what the callers of one process got.
type leasesResult struct {
	Bodies map[string]int
	Failed int64 // calls of the store
}

// TestProcessesAskOnce lets processes with leases ask for the same at the same moment.
func TestProcessesAskOnce(t *testing.T) {
	const processes = 3
	for _, kind := range []string{"sqlite", "disk", "redis", "mongodb", "dynamodb"} {
		t.Run(kind, func(t *testing.T) {
			if kind == "mongodb" && os.Getenv("MONGODB_FLAVOUR") == "ferretdb1" {
				t.Skip("FerretDB 1 loses writes of two clients at once: leases in MongoDB need a real server, named by MONGODB_URI")
			}
			dir := t.TempDir()
			needServer(t, kind, dir)
			var asked atomic.Int64
			var ready, begun sync.WaitGroup
			ready.Add(processes)
			begun.Add(processes)
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/ready": // each process asks for it when it could begin, and is answered when all could
					ready.Done()
					ready.Wait()
					return
				case "/begun":
					begun.Done()
					return
				}
				n := asked.Add(1)
				begun.Wait()
				w.Header().Set("Cache-Control", "max-age=60")
				fmt.Fprintf(w, "answer %d", n)
			}))
			defer srv.Close()
			var results [processes]leasesResult
			var wg sync.WaitGroup
			for i := range results {
				wg.Go(func() {
					if err := runChild(t, &results[i], nil, "leases", kind, dir, srv.URL); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if n := asked.Load(); n != 1 {
				t.Errorf("the origin was asked %d times, want once", n)
			}
			for i, r := range results {
				if len(r.Bodies) != 1 || r.Bodies["answer 1"] != leaseCallers || r.Failed != 0 {
					t.Errorf("process %d: %v, %d failures of the store", i, r.Bodies, r.Failed)
				}
			}
		})
	}
}

const leaseCallers = 8

func leasesChild(args []string) (any, error) {
	kind, dir, url := args[0], args[1], args[2]
	s, err := openStore(kind, dir)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	cache := &larder.Cache{Store: s, LeaseTime: 5 * time.Second, LeaseWait: time.Minute}
	tell := func(path string) error {
		resp, err := http.Get(url + path)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	if err := tell("/ready"); err != nil {
		return nil, err
	}
	r := leasesResult{Bodies: make(map[string]int)}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range leaseCallers {
		wg.Go(func() {
			body := ""
			resp, err := cache.Client().Get(url + "/page")
			if err == nil {
				var b []byte
				b, err = io.ReadAll(resp.Body)
				resp.Body.Close()
				body = string(b)
			}
			if err != nil {
				body = err.Error()
			}
			mu.Lock()
			r.Bodies[body]++
			mu.Unlock()
		})
	}
	if err := tell("/begun"); err != nil {
		return nil, err
	}
	wg.Wait()
	err = cache.Close(context.Background())
	r.Failed = cache.Stats().StoreFailures
	return r, err
}
