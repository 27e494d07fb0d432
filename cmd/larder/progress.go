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

// progress shows on standard error how far a command has come, with rate and remaining time, if that is a terminal. It
// is safe for concurrent use. What else goes to standard error meanwhile is written through it.
type progress struct {
	mu    sync.Mutex
	err   io.Writer
	bar   *progressbar.ProgressBar // nil: nobody looks
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
		progressbar.OptionSetSpinnerChangeInterval(0)) // else it draws by itself, between lines and after the end
	return p
}

// unwrapped writes to a terminal lines that it cuts off at its last column, and does not wrap.
type unwrapped struct{ terminal io.Writer }

func (u unwrapped) Write(p []byte) (int, error) {
	const cut, wrap = "\x1b[?7l", "\x1b[?7h"
	if _, err := io.WriteString(u.terminal, cut+string(p)+wrap); err != nil {
		return 0, err
	}
	return len(p), nil
}

// totalOf takes for the total what is stored in s. To count that may be to read all of it, so it is done only where the
// progress is shown.
func (p *progress) totalOf(ctx context.Context, s store.Store) {
	sizer, ok := store.As[store.Sizer](s)
	if !ok || !p.watched() {
		return
	}
	if n, _, err := sizer.Size(store.Inspect(ctx)); err == nil {
		p.total(int64(n))
	}
}

// watched reports whether the progress is shown, so that working out a total is worth it.
func (p *progress) watched() bool { return p.bar != nil }

// total says how many there are in all; 0: not known.
func (p *progress) total(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil && n > 0 {
		p.bar.ChangeMax64(n)
	}
}

// atLeast says how many there are so far, when more may come.
func (p *progress) atLeast(n int64) { p.total(n + 1) }

// add says that one more is done, of so many bytes.
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

// done takes the bar away. It may be called again.
func (p *progress) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		p.bar.Clear()
		p.bar = nil
	}
}

// quietFlag adds --quiet, which all commands with a progress have. Some leave out something beside the bar.
func quietFlag(cmd *cobra.Command, to *bool, beside string) {
	cmd.Flags().BoolVarP(to, "quiet", "q", false, "show no progress bar"+beside+"; without it there is one on a terminal")
}
