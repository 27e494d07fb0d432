package redis

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/larder-go/larder"
)

// A large body passes through a process of its own, so that the memory it took can be told; with LARDER_LARGE=1 it has
// 1 GB.
func TestLargeBodyTakesLittleMemory(t *testing.T) {
	if url, origin, child := strings.Cut(os.Getenv("LARDER_CHILD"), " "); child {
		fetchTwice(t, url, origin)
		return
	}
	if runtime.GOOS != "linux" {
		t.Skip("the memory of a process is read as Linux tells it")
	}
	size := 256 << 20
	if os.Getenv("LARDER_LARGE") != "" {
		size = 1 << 30
	}
	s := serve(t)
	want := sha256.New()
	o := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=3600")
		want.Reset()
		stream(io.MultiWriter(w, want), size)
	}))
	defer o.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "LARDER_CHILD="+s.url()+" "+o.URL)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, outcome := range []string{"miss", "hit"} {
		if line := fmt.Sprintf("%s %x", outcome, want.Sum(nil)); !bytes.Contains(out, []byte(line)) {
			t.Errorf("the child does not tell of a %s of the same bytes:\n%s", outcome, out)
		}
	}
	_, rest, _ := strings.Cut(string(out), "VmHWM:")
	peak, err := strconv.Atoi(strings.Fields(rest + " ?")[0])
	if err != nil {
		t.Fatalf("the child does not tell its memory:\n%s", out)
	}
	t.Logf("%d MiB took a process of %d MiB at most", size>>20, peak>>10)
	if peak > 96<<10 {
		t.Errorf("the process had %d MiB, want at most 96", peak>>10)
	}
}

func stream(w io.Writer, size int) {
	block := make([]byte, 1<<20)
	random := rand.NewChaCha8([32]byte{1})
	for ; size > 0; size -= len(block) {
		random.Read(block)
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

// fetchTwice is what the child does.
func fetchTwice(t *testing.T, url, origin string) {
	st, err := Open(context.Background(), url, &Options{MaxBody: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	cache := &larder.Cache{Store: st}
	for range 2 {
		resp, err := cache.Client().Get(origin)
		if err != nil {
			t.Fatal(err)
		}
		var sum hash.Hash = sha256.New()
		if _, err := io.Copy(sum, resp.Body); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		fmt.Printf("%s %x\n", larder.Info(resp).Outcome, sum.Sum(nil))
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("%s\n", status)
}
