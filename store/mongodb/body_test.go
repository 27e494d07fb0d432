//go:build linux && !race

package mongodb

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/internal/bigbody"
)

var bodyMiB = flag.Int64("body", 64, "length of the body in TestBodyNeedsLittleMemory, in MiB")

const maxResident = 96 << 20

const childVar = "LARDER_MONGODB_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVar) == "" {
		os.Exit(m.Run())
	}
	if err := child(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// childResult is what the child process found.
type childResult struct {
	Responses []bigbody.Reading
	Resident  int64 // the most memory that it ever had in RAM, in bytes
}

// A client in a process of its own fetches a large body, and then has it from the store. The race detector multiplies
// memory, so this is not built with it.
func TestBodyNeedsLittleMemory(t *testing.T) {
	db := database(t)
	size := *bodyMiB << 20
	url, want := bigbody.Serve(t, size)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, serverURI(t, db.Name()), url)
	cmd.Env = append(os.Environ(), childVar+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got childResult
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	for i, outcome := range []string{"miss", "hit"} {
		r := got.Responses[i]
		if r.Outcome != outcome || r.Length != size || r.Sum != want {
			t.Errorf("%s of %d bytes, hash %s; want %s of %d, %s", r.Outcome, r.Length, r.Sum, outcome, size, want)
		}
	}
	if got.Resident >= maxResident {
		t.Errorf("%d bytes resident, want less than %d", got.Resident, maxResident)
	}
	t.Logf("%d MiB: miss in %v, hit in %v, %.1f MiB resident at most", *bodyMiB,
		got.Responses[0].Took, got.Responses[1].Took, float64(got.Resident)/(1<<20))
}

func child(uri, url string) error {
	s, err := Open(context.Background(), uri, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	cache := &larder.Cache{Store: s}
	if ferret {
		cache.StoreTimeout = time.Minute // it takes a while for a piece, the longer the more there are
	}
	var result childResult
	for range 2 {
		r, err := bigbody.Read(cache.Client(), url)
		if err != nil {
			return err
		}
		result.Responses = append(result.Responses, r)
	}
	if result.Resident, err = bigbody.PeakResident(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}
