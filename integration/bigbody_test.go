//go:build linux && !race

package integration

import (
	"flag"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/internal/bigbody"
)

var bigBody = byteSize(256 << 20)

func init() {
	flag.Var(&bigBody, "big-body", "length of the body in TestBigBodyAllocatesLittle, like 2GiB or 256MiB")
	children["bigBody"] = bigBodyChild
}

const (
	maxResident  = 64 << 20
	maxHoldBack  = 5 * time.Millisecond
	firstByteTry = 9
)

// bigBodyResult is what the child process measured.
type bigBodyResult struct {
	Direct, Through time.Duration // until the first byte of the body, medians: from the origin, and through the cache
	Miss, Hit       bigbody.Reading
	Resident        int64 // the most memory the process ever had in RAM, in bytes
}

// The race detector multiplies memory, so this test is not built with it; scripts/test runs it without.
func TestBigBodyAllocatesLittle(t *testing.T) {
	size := int64(bigBody)
	url, want := bigbody.Serve(t, size)
	for _, kind := range []string{"disk", "sqlite"} {
		t.Run(kind, func(t *testing.T) {
			var r bigBodyResult
			if err := runChild(t, &r, []string{"GOMEMLIMIT=64MiB"}, "bigBody", kind, t.TempDir(), url); err != nil {
				t.Fatal(err)
			}
			t.Logf("%v: miss in %v, hit in %v, %.1f MiB resident at most; first byte after %v, directly after %v",
				&bigBody, r.Miss.Took, r.Hit.Took, float64(r.Resident)/(1<<20), r.Through, r.Direct)
			for outcome, got := range map[string]bigbody.Reading{"miss": r.Miss, "hit": r.Hit} {
				if got.Outcome != outcome || got.Length != size || got.Sum != want {
					t.Errorf("got %v of %d bytes, hash %s, want %s of %d, %s", got.Outcome, got.Length, got.Sum, outcome, size, want)
				}
			}
			if r.Resident >= maxResident {
				t.Errorf("%d bytes resident, want less than %d", r.Resident, maxResident)
			}
			if r.Through > r.Direct+maxHoldBack {
				t.Errorf("the first byte took %v, directly %v", r.Through, r.Direct)
			}
		})
	}
}

func bigBodyChild(args []string) (any, error) {
	kind, dir, url := args[0], args[1], args[2]
	s, err := openStore(kind, dir)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	client := (&larder.Cache{Store: s}).Client()
	var r bigBodyResult
	var direct, through []time.Duration
	for i := range firstByteTry {
		for of, to := range map[*http.Client]*[]time.Duration{http.DefaultClient: &direct, client: &through} {
			d, err := firstByte(of, fmt.Sprint(url, "/?", i))
			if err != nil {
				return nil, err
			}
			*to = append(*to, d)
		}
	}
	r.Direct, r.Through = median(direct), median(through)
	for _, reading := range []*bigbody.Reading{&r.Miss, &r.Hit} {
		if *reading, err = bigbody.Read(client, url); err != nil {
			return nil, err
		}
	}
	r.Resident, err = bigbody.PeakResident()
	return r, err
}

func firstByte(client *http.Client, url string) (time.Duration, error) {
	begun := time.Now()
	resp, err := client.Get(url)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = resp.Body.Read(make([]byte, 1))
	return time.Since(begun), err
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// byteSize is a number of bytes as a flag.
type byteSize int64

func (b *byteSize) String() string { return fmt.Sprintf("%d MiB", *b>>20) }

func (b *byteSize) Set(s string) error {
	number, shift := s, 0
	for unit, by := range map[string]int{"KiB": 10, "MiB": 20, "GiB": 30} {
		if n, ok := strings.CutSuffix(s, unit); ok {
			number, shift = n, by
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	*b = byteSize(n << shift)
	return err
}
