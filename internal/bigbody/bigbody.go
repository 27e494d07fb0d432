// Package bigbody is what tests of large bodies have in common: an origin that serves one, a client that reads it, and
// the most memory that the process took.
package bigbody

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/larder"
)

// Serve starts an origin that answers each request with a body of size bytes, fresh for an hour, and returns its URL
// and the SHA-256 of the body, in hexadecimal.
func Serve(t *testing.T, size int64) (url, sum string) {
	t.Helper()
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=3600")
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		write(w, size)
	}))
	t.Cleanup(origin.Close)
	h := sha256.New()
	write(h, size)
	return origin.URL, hex.EncodeToString(h.Sum(nil))
}

// write writes size bytes, of which no two blocks are the same.
func write(w io.Writer, size int64) {
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

// Reading is what a client got of the body.
type Reading struct {
	Outcome string // of larder.Info
	Length  int64
	Sum     string // of the body, as Serve returns it
	Took    time.Duration
}

// Read reads the body at url to its end.
func Read(client *http.Client, url string) (r Reading, err error) {
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

// PeakResident returns the most memory that this process ever had in RAM, in bytes. Linux alone tells.
func PeakResident() (int64, error) {
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
