//go:build unix

package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// statistics are what larder stats --json tells of what was answered.
type statistics struct {
	Answered *answeredCounts
	Hours    []struct{ Requests, Hits int64 }
	Days     []struct{ Requests, Hits int64 }
	Hosts    []struct {
		Host     string
		Answered *answeredCounts
	}
}

type answeredCounts struct {
	Requests, Hits, Misses int64
	HitRatio               float64 `json:"hit_ratio"`
	SavedBytes             int64   `json:"saved_bytes"`
}

func (u *user) statistics(args ...string) (s statistics) {
	u.t.Helper()
	decode(u.t, u.ok(append([]string{"stats", "--json"}, args...)...), &s)
	return s
}

// TestStatsOutliveProcesses counts what many processes at once answer: get, warm and serve.
func TestStatsOutliveProcesses(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	u := newUser(t, "disk:HOME/files")
	url := o.URL + "/cache/600"
	u.ok("get", url)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 5 {
				u.run("get", url, url)
			}
		})
	}
	all.Wait()
	u.ok("warm", url, o.URL+"/uuid")
	s := u.serve("--private", "--origin", o.URL)
	s.get("/cache/600")
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil || s.code() != 0 {
		t.Fatalf("serve: %v, exit code %d", err, s.code())
	}

	host := strings.TrimPrefix(o.URL, "http://")
	got := u.statistics()
	if got.Answered == nil || got.Answered.Requests != 84 || got.Answered.Hits != 82 || got.Answered.Misses != 2 || got.Answered.HitRatio != 0.9762 {
		t.Fatalf("stats tells %+v", got.Answered)
	}
	if len(got.Hours) != 24 || len(got.Days) != 31 || len(got.Hosts) != 1 || got.Hosts[0].Host != host || *got.Hosts[0].Answered != *got.Answered {
		t.Errorf("stats tells %+v", got)
	}
	var inHours int64
	for _, h := range got.Hours {
		inHours += h.Requests
	}
	if inHours != 84 {
		t.Errorf("%d requests in 24 hours, want 84", inHours)
	}
	text := u.ok("stats")
	for _, want := range []string{"requests   84 in 31 days\nhit ratio  98 % from the store\n", "\n24 hours   ▁", "\n31 days    ▁", "  98 %  "} {
		if !strings.Contains(text, want) {
			t.Errorf("stats has no %q in\n%s", want, text)
		}
	}
	for _, args := range [][]string{{"--store", "memory:"}, {"--store", "disk:" + u.home + "/others"}} {
		if got := u.statistics(args...); got.Answered != nil && got.Answered.Requests != 0 {
			t.Errorf("stats %s tells %+v", args, got.Answered)
		}
	}
	if info, err := os.Stat(filepath.Join(u.home, "larder", "history.sqlite")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the history: %v, %v", info, err)
	}
}

// TestHistoryFaults: what cannot be counted is answered all the same, and told of to who asks.
func TestHistoryFaults(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	u := newUser(t, "disk:HOME/files")
	damaged := filepath.Join(u.home, "damaged")
	if err := os.WriteFile(damaged, []byte(strings.Repeat("no database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		path, told string
		stats      int
	}{
		{"none", "", 0},
		{damaged, "the history " + damaged + " cannot be used", 1},
		{damaged + "/below", "mkdir " + damaged, 1},
	} {
		run := func(args ...string) result {
			cmd := u.command(args...)
			cmd.Env = append(cmd.Env, "LARDER_HISTORY="+test.path)
			return u.finish(cmd)
		}
		if r := run("get", o.URL+"/cache/600"); r.code != 0 || r.err != "" {
			t.Errorf("get: %+v", r)
		}
		if r := run("get", "-v", o.URL+"/cache/600"); r.code != 0 || strings.Contains(r.err, "not counted for larder stats") != (test.told != "") || !strings.Contains(r.err, test.told) {
			t.Errorf("get -v: %+v, want it to tell %q", r, test.told)
		}
		if r := run("stats"); r.code != test.stats || !strings.Contains(r.err, test.told) {
			t.Errorf("stats: %+v, want %q", r, test.told)
		}
	}
	if files, err := filepath.Glob(filepath.Join(u.home, "larder", "*")); err != nil || len(files) != 0 {
		t.Errorf("there is %v; %v", files, err)
	}
}
