package main

import (
	"context"
	"io"
	"os"
	"sync"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/larder-go/larder/store"
)

// progress is a progress bar on standard error, if that is a terminal. It is safe for concurrent use. All else that
// goes to standard error meanwhile must be written through it.
type progress struct {
	mu    sync.Mutex
	err   io.Writer
	bar   *progressbar.ProgressBar // nil: none is shown
	what  string                   // "": there is no room for it
	bytes int64
}

const redrawEvery = 100 * time.Millisecond

// newProgress begins to show the progress of what ("copying"), counted in unit ("responses").
func newProgress(cmd *cobra.Command, quiet bool, what, unit string) *progress {
	p := &progress{err: cmd.ErrOrStderr(), what: what}
	f, ok := p.err.(*os.File)
	if quiet || !ok || !isatty.IsTerminal(f.Fd()) || os.Getenv("TERM") == "dumb" {
		return p
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil || columns <= 0 {
		columns = 80
	}
	width := columns - 70 // of the bar; the rest is for what, figures and times
	if columns < 75 {
		p.what, unit, width = "", "", columns-45
	}
	coloured := os.Getenv("NO_COLOR") == ""
	theme := progressbar.Theme{Saucer: "━", SaucerHead: "━", SaucerPadding: "─"}
	if coloured {
		theme = progressbar.Theme{Saucer: "[green]━[reset]", SaucerHead: "[green]━[reset]", SaucerPadding: "[dark_gray]━[reset]"}
	}
	p.bar = progressbar.NewOptions64(-1, progressbar.OptionSetWriter(unwrapped{f}), progressbar.OptionSetDescription(p.what),
		progressbar.OptionSetTheme(theme), progressbar.OptionEnableColorCodes(coloured), progressbar.OptionUseANSICodes(true),
		progressbar.OptionSetWidth(min(max(width, 0), 20)), progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString(unit),
		progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(redrawEvery), progressbar.OptionClearOnFinish(),
		progressbar.OptionSetSpinnerChangeInterval(0)) // else it redraws on its own, between lines and after the end
	return p
}

// unwrapped writes lines to a terminal that cuts them off at its last column instead of wrapping them.
type unwrapped struct{ terminal io.Writer }

func (u unwrapped) Write(p []byte) (int, error) {
	const cut, wrap = "\x1b[?7l", "\x1b[?7h"
	if _, err := io.WriteString(u.terminal, cut+string(p)+wrap); err != nil {
		return 0, err
	}
	return len(p), nil
}

// totalOf sets the total to the number of records in s. Counting them may mean reading all of s, so it is done only if
// the progress is shown.
func (p *progress) totalOf(ctx context.Context, s store.Store) {
	sizer, ok := store.As[store.Sizer](s)
	if !ok || !p.watched() {
		return
	}
	if n, _, err := sizer.Size(store.Inspect(ctx)); err == nil {
		p.total(int64(n))
	}
}

// watched reports whether the progress is shown, and so a total is worth working out.
func (p *progress) watched() bool { return p.bar != nil }

// total sets how many there are in all; 0: not known.
func (p *progress) total(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil && n > 0 {
		p.bar.ChangeMax64(n)
	}
}

// atLeast sets how many there are so far, if more may come.
func (p *progress) atLeast(n int64) { p.total(n + 1) }

// add counts one more as done, with so many bytes.
func (p *progress) add(bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bytes += bytes
	if p.bar != nil {
		if p.what != "" {
			p.bar.Describe(p.what + " " + bytesText(p.bytes))
		}
		p.bar.Add(1)
	}
}

// Write writes lines above the bar.
func (p *progress) Write(lines []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		p.bar.Clear()
	}
	return p.err.Write(lines)
}

// done removes the bar. It may be called again.
func (p *progress) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		p.bar.Clear()
		p.bar = nil
	}
}

// quietFlag adds --quiet, for commands with a progress bar. beside names what else it leaves out.
func quietFlag(cmd *cobra.Command, to *bool, beside string) {
	cmd.Flags().BoolVarP(to, "quiet", "q", false, "show no progress bar"+beside+"; without it there is one on a terminal")
}
