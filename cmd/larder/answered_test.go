package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/larder/internal/figures"
)

func TestSpans(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 10, 26, 13, 30, 0, 0, berlin) // the day after one of 25 hours
	at := func(day, hour, minute int) time.Time { return time.Date(2026, 10, day, hour, minute, 0, 0, berlin) }
	for _, test := range []struct {
		hour        time.Time
		hours, days int // the span's place from the end; -1: none
	}{
		{at(26, 13, 0), 0, 0},
		{at(26, 12, 0), 1, 0},
		{at(26, 0, 0), 13, 0},
		{at(25, 23, 0), 14, 1},
		{at(25, 14, 0), 23, 1},
		{at(25, 13, 0), -1, 1},
		{at(25, 0, 0), -1, 1},
		{at(24, 23, 0), -1, 2},
		{at(20, 0, 0), -1, 6},
		{at(19, 23, 0), -1, -1},
	} {
		for name, s := range map[string]spans{"hours": hoursUntil(now, 24), "days": daysUntil(now, 7)} {
			s.add(test.hour, &figures.Counts{Hits: 1, Misses: 2, Saved: 3})
			place := -1
			for i, p := range s {
				if (p.Requests != 0) != (p == span{p.Time, 3, 1, 3}) {
					t.Errorf("%s: %v counts as %+v", name, test.hour, p)
				}
				if p.Requests != 0 {
					place = len(s) - 1 - i
				}
			}
			want := test.hours
			if name == "days" {
				want = test.days
			}
			if place != want {
				t.Errorf("%s: %v is %d from the end, want %d", name, test.hour, place, want)
			}
		}
	}
}

func TestSparklines(t *testing.T) {
	s := spans{{Requests: 0}, {Requests: 1}, {Requests: 500, Hits: 1}, {Requests: 1000, Hits: 1000}, {Requests: 999}}
	requests, hits := s.sparklines()
	if requests != "▁▂▅█▇" && requests != "▁▂▅██" || hits != "▁▁▂█▁" {
		t.Errorf("%s and %s", requests, hits)
	}
	if requests, hits := make(spans, 3).sparklines(); requests != "▁▁▁" || hits != "▁▁▁" {
		t.Errorf("of nothing: %s and %s", requests, hits)
	}
}

func TestLatencyText(t *testing.T) {
	for seconds, want := range map[float64]string{0: "0s", 0.000000994: "990ns", 0.0000123: "12µs", 0.00987: "9.9ms", 0.25: "250ms", 12.4: "12s"} {
		if got := latencyText(seconds); got != want {
			t.Errorf("%v s is %s, want %s", seconds, got, want)
		}
	}
}

// TestHistoryEnds writes hours of 40 days, as a process does that runs so long: the last ones stay.
func TestHistoryEnds(t *testing.T) {
	h := history{filepath.Join(t.TempDir(), "deeper", "history.sqlite"), "sqlite:a"}
	other, gone := history{h.path, "sqlite:b"}, history{h.path, "sqlite:c"}
	begin := time.Date(2026, 11, 1, 10, 20, 0, 0, time.UTC)
	write := func(h history, at time.Time) {
		t.Helper()
		counts := figures.Counts{Hits: 1, Stale: 2, Revalidated: 3, Misses: 4, Bypassed: 5, Refused: 6, Saved: 7,
			Store: figures.Side{Responses: 3, Time: 8}, Origin: figures.Side{Responses: 12, Time: 9, Bytes: 10}}
		if err := h.add(figures.Snapshot{Since: at, Hosts: []figures.Host{{Host: "a.example", Counts: counts}}}); err != nil {
			t.Fatal(err)
		}
	}
	write(gone, begin)
	write(other, begin.AddDate(0, 0, 20))
	for day := range 41 {
		write(h, begin.AddDate(0, 0, day))
		write(h, begin.AddDate(0, 0, day).Add(10*time.Minute)) // of the same hour
	}
	all, err := h.read(t.Context(), time.Time{})
	if err != nil || len(all) != historyDays+1 {
		t.Fatalf("%d hours, want %d; %v", len(all), historyDays+1, err)
	}
	for i, got := range all {
		want := hourOf{time.Date(2026, 11, 10+i, 10, 0, 0, 0, time.UTC).Local(), "a.example", figures.Counts{Hits: 2, Stale: 4, Revalidated: 6, Misses: 8,
			Bypassed: 10, Refused: 12, Saved: 14, Store: figures.Side{Responses: 6, Time: 16}, Origin: figures.Side{Responses: 24, Time: 18, Bytes: 20}}}
		if got != want {
			t.Errorf("hour %d: %+v, want %+v", i, got, want)
		}
	}
	if all, err := other.read(t.Context(), time.Time{}); err != nil || len(all) != 1 || all[0].Hits != 1 {
		t.Errorf("the other store: %+v; %v", all, err)
	}
	if all, err := gone.read(t.Context(), time.Time{}); err != nil || len(all) != 0 {
		t.Errorf("a store of which nothing is heard any more: %+v; %v", all, err)
	}
	if _, err := (history{filepath.Join(h.path, "below"), "sqlite:a"}).read(t.Context(), time.Time{}); err == nil || !strings.Contains(err.Error(), h.path) {
		t.Errorf("a path that cannot be: %v", err)
	}
}
