package figures

import (
	"fmt"
	"testing"
	"time"

	"github.com/larder-go/larder"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func answered(at time.Duration, host string, o larder.Outcome, size int64, took time.Duration) larder.Event {
	return larder.Event{Kind: larder.Answered, Time: noon.Add(at), URL: "https://" + host + "/", Decision: larder.Decision{Outcome: o},
		Size: size, Duration: took}
}

func TestCounts(t *testing.T) {
	var r Recorder
	for _, e := range []larder.Event{
		answered(0, "a.example", larder.Miss, 100, 40*time.Millisecond),
		answered(10*time.Second, "a.example", larder.Hit, 100, 20*time.Microsecond),
		answered(70*time.Second, "a.example", larder.Stale, 100, 30*time.Microsecond),
		answered(71*time.Second, "a.example", larder.Revalidated, 100, 10*time.Millisecond),
		answered(72*time.Second, "b.example:8080", larder.Bypassed, -1, 50*time.Millisecond),
		answered(73*time.Second, "b.example:8080", larder.Refused, 0, 0),
		{Kind: larder.StoreFailed, Time: noon, URL: "https://c.example/"},
	} {
		r.Observe(e)
	}
	s := r.Snapshot(noon.Add(2 * time.Minute))
	if got, want := s.Total.Requests(), int64(6); got != want || !s.Since.Equal(noon) {
		t.Errorf("%d requests since %v, want %d since %v", got, s.Since, want, noon)
	}
	if s.Total.Saved != 300 || s.Total.Store.Bytes != 200 || s.Total.Origin.Bytes != 100 {
		t.Errorf("bytes: saved %d, of the store %d, of the origin %d", s.Total.Saved, s.Total.Store.Bytes, s.Total.Origin.Bytes)
	}
	if s.Total.Store.Time != 50*time.Microsecond || s.Total.Origin.Time != 100*time.Millisecond || s.Total.Origin.Responses != 3 {
		t.Errorf("times: %+v", s.Total)
	}
	if got := s.Total.HitRatio(); got != 2.0/6 {
		t.Errorf("hit ratio %v", got)
	}
	if len(s.Hosts) != 2 || s.Hosts[0].Host != "a.example" || s.Hosts[0].Requests() != 4 || s.Hosts[1].Host != "b.example:8080" {
		t.Errorf("hosts: %+v", s.Hosts)
	}
	if len(s.Minutes) != 2 || s.Minutes[0].Requests() != 2 || !s.Minutes[1].Time.Equal(noon.Add(time.Minute)) {
		t.Errorf("minutes: %+v", s.Minutes)
	}
	var sum Counts
	for _, h := range s.Hosts {
		sum.Add(&h.Counts)
	}
	if sum != s.Total {
		t.Errorf("the hosts add up to\n%+v, want\n%+v", sum, s.Total)
	}
}

func TestMinutesEnd(t *testing.T) {
	var r Recorder
	r.Observe(answered(0, "a", larder.Hit, 1, 0))
	r.Observe(answered(keptMinutes*time.Minute, "a", larder.Hit, 1, 0)) // takes the place of the first
	r.Observe(answered(0, "a", larder.Hit, 1, 0))                       // comes late: counted, but in no minute
	s := r.Snapshot(noon.Add(keptMinutes * time.Minute))
	if len(s.Minutes) != 1 || s.Minutes[0].Hits != 1 || s.Total.Hits != 3 {
		t.Errorf("minutes: %+v, total %+v", s.Minutes, s.Total)
	}
	if s := r.Snapshot(noon.Add(2 * keptMinutes * time.Minute)); len(s.Minutes) != 0 {
		t.Errorf("an hour later: %+v", s.Minutes)
	}
}

func TestHostsAreBounded(t *testing.T) {
	var r Recorder
	for i := range 2 * maxHosts {
		r.Observe(answered(0, fmt.Sprint("h", i), larder.Miss, 1, 0))
	}
	s := r.Snapshot(noon)
	if len(s.Hosts) != maxHosts+1 || s.Hosts[0].Host != others || s.Hosts[0].Misses != maxHosts {
		t.Errorf("%d hosts, the first %s with %d", len(s.Hosts), s.Hosts[0].Host, s.Hosts[0].Misses)
	}
}

func TestQuantile(t *testing.T) {
	var h Histogram
	if got := h.Quantile(0.5); got != 0 {
		t.Errorf("of none: %v", got)
	}
	for range 90 {
		h.add(3 * time.Microsecond)
	}
	for range 10 {
		h.add(time.Hour)
	}
	for q, want := range map[float64]time.Duration{0: 4 * time.Microsecond, 0.5: 4 * time.Microsecond, 0.89: 4 * time.Microsecond, 0.95: time.Microsecond << 26, 1: time.Microsecond << 26} {
		if got := h.Quantile(q); got != want {
			t.Errorf("%v: %v, want %v", q, got, want)
		}
	}
	var one Histogram
	for _, d := range []time.Duration{-1, 0, 1, time.Microsecond, 2 * time.Microsecond} {
		one.add(d)
	}
	if one[0] != 4 || one[1] != 1 {
		t.Errorf("small ones: %v", one)
	}
}

func TestTake(t *testing.T) {
	var r Recorder
	r.Observe(answered(0, "a.example", larder.Hit, 100, time.Millisecond))
	if s := r.Take(noon); s.Total.Hits != 1 || len(s.Hosts) != 1 || len(s.Minutes) != 1 {
		t.Errorf("taken: %+v", s)
	}
	if s := r.Take(noon); !s.Since.IsZero() || s.Total != (Counts{}) || len(s.Hosts)+len(s.Minutes) != 0 {
		t.Errorf("taken again: %+v", s)
	}
	r.Observe(answered(time.Minute, "b.example", larder.Miss, 100, time.Millisecond))
	if s := r.Snapshot(noon.Add(time.Minute)); !s.Since.Equal(noon.Add(time.Minute)) || s.Total.Requests() != 1 || s.Hosts[0].Host != "b.example" {
		t.Errorf("after that: %+v", s)
	}
}
