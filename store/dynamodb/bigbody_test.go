//go:build linux && !race

package dynamodb

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/larder"
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

// reading is what a read of the body came to.
type reading struct {
	Outcome  string
	Length   int64
	Sum      string
	Took     time.Duration
	Resident int64 // the most memory that the process had until then, in bytes
}

// The race detector multiplies memory, so this test is not built with it.
func TestBigBodyTakesLittleMemory(t *testing.T) {
	size := int64(*bigBody) << 20
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=3600")
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		writeBig(w, size)
	}))
	defer origin.Close()
	sum := sha256.New()
	writeBig(sum, size)
	want := hex.EncodeToString(sum.Sum(nil))

	name := tableName(t)
	child := exec.CommandContext(t.Context(), os.Args[0], "dynamodb://"+name+"?create=true&endpoint="+endpoint(t))
	child.Env = append(os.Environ(), childVar+"="+origin.URL)
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
		t.Logf("%s of %d MiB in %v, %.1f MiB resident", r.Outcome, r.Length>>20, r.Took.Round(time.Millisecond), float64(r.Resident)/(1<<20))
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
		begun := time.Now()
		resp, err := cache.Client().Get(origin)
		if err != nil {
			return err
		}
		sum := sha256.New()
		r := reading{Outcome: larder.Info(resp).Outcome.String()}
		if r.Length, err = io.Copy(sum, resp.Body); err != nil {
			return err
		}
		resp.Body.Close()
		r.Sum, r.Took = hex.EncodeToString(sum.Sum(nil)), time.Since(begun)
		if r.Resident, err = peakResident(); err != nil {
			return err
		}
		if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
			return err
		}
	}
	return nil
}

// writeBig writes size bytes that are nowhere the same.
func writeBig(w io.Writer, size int64) {
	var block [64 << 10]byte
	for i := range block {
		block[i] = byte(i * i >> 3)
	}
	for n := uint64(0); size > 0; n++ {
		binary.BigEndian.PutUint64(block[:], n)
		if _, err := w.Write(block[:min(size, int64(len(block)))]); err != nil {
			return
		}
		size -= int64(len(block))
	}
}

// peakResident returns the most memory that this process ever had in RAM, in bytes.
func peakResident() (int64, error) {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if kib, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(kib, "kB")), 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("no VmHWM in %s", f.Name())
}
