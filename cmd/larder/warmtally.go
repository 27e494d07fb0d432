package main

import (
	"cmp"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-go/larder"
)

// tally is the result of larder warm, in JSON.
type tally struct {
	mu    sync.Mutex
	began time.Time

	Fetched     int     `json:"fetched"` // those not stored included
	Hits        int     `json:"hits"`
	Stale       int     `json:"stale"`
	Revalidated int     `json:"revalidated"`
	DoneBefore  int     `json:"done_before"` // by --resume
	Failed      int     `json:"failed"`
	Unfinished  int     `json:"unfinished"` // begun before the interrupt, and not ended within the grace
	Bytes       int64   `json:"bytes"`      // fetched
	Seconds     float64 `json:"seconds"`
	NotStored   counts  `json:"not_stored"`   // by reason
	FailedHosts counts  `json:"failed_hosts"` // by host
}

// settle counts the result of a URL. It is called by one goroutine.
func (w *warm) settle(r report) {
	if r.err != nil && w.work.Err() != nil {
		w.tally.mu.Lock()
		w.tally.Unfinished++
		w.tally.mu.Unlock()
		return
	}
	switch {
	case r.err == errNotKept:
		w.fail("(the store)", nil) // which was reported when it failed
	case r.err != nil:
		w.fail(r.url.Host, fmt.Errorf("%s: %w", r.first.Redacted(), r.err))
	default:
		w.tally.add(r.result)
		w.progress.add(r.bytes)
	}
	if w.state == nil {
		return
	}
	if r.err == nil {
		w.state.done(r.index)
	}
	if err := w.state.save(false); err != nil {
		w.stop(fmt.Errorf("--resume: %w", err))
	}
}

func (t *tally) add(r result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Bytes += r.bytes
	switch r.outcome {
	case larder.Hit:
		t.Hits++
	case larder.Stale:
		t.Stale++
	case larder.Revalidated:
		t.Revalidated++
	default:
		t.Fetched++
		if r.notStored != "" {
			t.NotStored.add(r.notStored)
		}
	}
}

// fail counts a URL that failed, and reports err, unless that is nil.
func (w *warm) fail(host string, err error) {
	w.tally.mu.Lock()
	w.tally.Failed++
	w.tally.FailedHosts.add(cmp.Or(host, "(no host)"))
	w.tally.mu.Unlock()
	if err != nil && !w.quiet {
		tell(w.progress, err)
	}
	w.progress.add(0)
}

// before counts a URL that a run before has done.
func (w *warm) before() {
	w.tally.mu.Lock()
	w.tally.DoneBefore++
	w.tally.mu.Unlock()
	w.progress.add(0)
}

// tell writes the summary.
func (w *warm) tell(cmd *cobra.Command) error {
	t := &w.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Seconds = secondsSince(t.began)
	return writeResult(cmd, w.json, t, func(out io.Writer) error {
		line := func(name string, n int) {
			if n > 0 {
				sumUp(out, name, n, "")
			}
		}
		sumUp(out, "fetched", t.Fetched, "  "+bytesText(t.Bytes))
		line("hits", t.Hits)
		line("stale", t.Stale)
		line("revalidated", t.Revalidated)
		line("done before", t.DoneBefore)
		line("not stored", t.NotStored.sum())
		t.NotStored.write(out)
		line("failed", t.Failed)
		t.FailedHosts.write(out)
		line("unfinished", t.Unfinished)
		return sumUp(out, "time", tookText(t.Seconds), "")
	})
}
