//go:build linux && !race

package mongodb

import (
	"bufio"
	"context"
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
	Responses []childResponse
	Resident  int64 // the most memory that it ever had in RAM, in bytes
}

type childResponse struct {
	Outcome string
	Length  int64
	Sum     string
	Took    time.Duration
}

// A client in a process of its own fetches a large body, and then has it from the store. The race detector multiplies memory, so
// this is not built with it.
func TestBodyNeedsLittleMemory(t *testing.T) {
	db := database(t)
	size := *bodyMiB << 20
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=3600")
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		writeBody(w, size)
	}))
	defer origin.Close()
	sum := sha256.New()
	writeBody(sum, size)
	want := hex.EncodeToString(sum.Sum(nil))

	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, serverURI(t, db.Name()), origin.URL)
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
		r, err := get(cache.Client(), url)
		if err != nil {
			return err
		}
		result.Responses = append(result.Responses, r)
	}
	if result.Resident, err = peakResident(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

func get(client *http.Client, url string) (r childResponse, err error) {
	begun := time.Now()
	resp, err := client.Get(url)
	if err != nil {
		return r, err
	}
	defer resp.Body.Close()
	sum := sha256.New()
	r.Outcome = larder.Info(resp).Outcome.String()
	r.Length, err = io.Copy(sum, resp.Body)
	r.Sum, r.Took = hex.EncodeToString(sum.Sum(nil)), time.Since(begun).Round(time.Millisecond)
	return r, err
}

// writeBody writes size bytes that are nowhere the same.
func writeBody(w io.Writer, size int64) {
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

// peakResident returns the most memory that this process ever had in RAM.
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
