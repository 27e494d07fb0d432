//go:build linux && !race

package dynamodb

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/internal/bigbody"
)

var bigBody = flag.Int("big-body", 64, "length in MiB of the body in TestBigBodyTakesLittleMemory, like 1024")

const (
	maxResident = 96 << 20
	childVar    = "LARDER_DYNAMODB_CHILD" // the origin's URL, in the process that reads the body
)

func TestMain(m *testing.M) {
	origin := os.Getenv(childVar)
	if origin == "" {
		os.Exit(m.Run())
	}
	if err := readTwice(origin, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// reading is a reading, and the most memory that the process had until then, in bytes.
type reading struct {
	bigbody.Reading
	Resident int64
}

// The race detector multiplies memory, so this test is not built with it.
func TestBigBodyTakesLittleMemory(t *testing.T) {
	size := int64(*bigBody) << 20
	url, want := bigbody.Serve(t, size)
	name := tableName(t)
	child := exec.CommandContext(t.Context(), os.Args[0], "dynamodb://"+name+"?create=true&endpoint="+endpoint(t))
	child.Env = append(os.Environ(), childVar+"="+url)
	child.Stderr = os.Stderr
	out, err := child.Output()
	if err != nil {
		t.Fatal(err)
	}
	for lines, outcome := json.NewDecoder(strings.NewReader(string(out))), ""; outcome != "hit"; {
		var r reading
		if err := lines.Decode(&r); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		outcome = map[string]string{"": "miss", "miss": "hit"}[outcome]
		t.Logf("%s of %d MiB in %v, %.1f MiB resident", r.Outcome, r.Length>>20, r.Took, float64(r.Resident)/(1<<20))
		if r.Outcome != outcome || r.Length != size || r.Sum != want {
			t.Errorf("got %s of %d bytes, hash %s, want %s of %d, %s", r.Outcome, r.Length, r.Sum, outcome, size, want)
		}
		if r.Resident >= maxResident {
			t.Errorf("%d bytes resident, want less than %d", r.Resident, maxResident)
		}
	}
}

// readTwice reads what origin says through a cache, and prints both readings.
func readTwice(origin, table string) error {
	s, err := Open(ctx, table, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	cache := &larder.Cache{Store: s, StoreTimeout: time.Minute /* this is about memory */, Observe: func(e larder.Event) {
		if e.Err != nil {
			fmt.Fprintln(os.Stderr, e.Err)
		}
	}}
	for range 2 {
		var r reading
		if r.Reading, err = bigbody.Read(cache.Client(), origin); err != nil {
			return err
		}
		if r.Resident, err = bigbody.PeakResident(); err != nil {
			return err
		}
		if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
			return err
		}
	}
	return nil
}
