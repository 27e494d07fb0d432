package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"os"
	"strings"

	"github.com/larder-go/larder/internal/sitemap"
	"github.com/larder-go/larder/store"
)

// Bounds of what is read to find URLs.
const (
	mostSitemaps   = 10_000 // indexes included
	deepestSitemap = 3      // indexes in indexes
)

// urlList is the source of the URLs of larder warm.
type urlList struct {
	args     []string // "-": standard input
	files    []string
	sitemaps []string
	stdin    io.Reader
	fetch    func(ctx context.Context, url, trusted string) (*http.Response, error)
	found    func(n int) // called with the number of URLs in each sitemap
}

// item is a URL as it is listed.
type item struct {
	url     string
	at      string // where, for messages; "": on the command line
	trusted string // the host that gets credentials: that of the sitemap which was named; "": the URL's own
}

// all yields the URLs in the order in which they are listed. An error is about a part that could not be read; the rest
// follows.
func (l *urlList) all(ctx context.Context) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		for _, arg := range l.args {
			if arg != "-" {
				if !yield(item{url: arg}, nil) {
					return
				}
			} else if !lines(&interruptible{ctx: ctx, r: l.stdin}, "standard input", yield) {
				return
			}
		}
		for _, path := range l.files {
			if !l.file(ctx, path, yield) {
				return
			}
		}
		seen := make(map[string]bool)
		for _, url := range l.sitemaps {
			if !l.sitemap(ctx, item{url: url, trusted: store.Host(url)}, 0, seen, yield) {
				return
			}
		}
	}
}

func (l *urlList) file(ctx context.Context, path string, yield func(item, error) bool) bool {
	if path == "-" {
		return lines(&interruptible{ctx: ctx, r: l.stdin}, "standard input", yield)
	}
	f, err := openInterruptible(ctx, path)
	if err != nil {
		return yield(item{}, err)
	}
	defer f.Close()
	return lines(f, path, yield)
}

// lines yields what is on the lines of r that are neither empty nor comments (#).
func lines(r io.Reader, name string, yield func(item, error) bool) bool {
	n := 0
	for text, err := range sitemap.Lines(r) {
		n++
		if n == 1 {
			text = strings.TrimPrefix(text, "\ufeff") // with which some editors begin a file
		}
		text = strings.TrimSpace(text)
		at := fmt.Sprintf("%s:%d: ", name, n)
		on := true
		switch {
		case strings.HasPrefix(text, "#"):
		case err != nil:
			on = yield(item{}, fmt.Errorf("%s%w", at, err))
		case text != "":
			on = yield(item{url: text, at: at}, nil)
		}
		if !on {
			return false
		}
	}
	return true
}

// sitemap yields the URLs of a sitemap, and of the sitemaps that it lists. Each is read to its end before its first URL
// is yielded, so that no download waits for what is done with the URLs.
func (l *urlList) sitemap(ctx context.Context, of item, depth int, seen map[string]bool, yield func(item, error) bool) bool {
	url, told := of.url, withoutPassword(of.url)
	if seen[url] || ctx.Err() != nil {
		return ctx.Err() == nil
	}
	if len(seen) == mostSitemaps {
		return yield(item{}, fmt.Errorf("sitemap %s is not read: more than %d sitemaps are listed", told, mostSitemaps))
	}
	seen[url] = true
	m, err := l.read(ctx, of)
	if err != nil {
		return yield(item{}, fmt.Errorf("sitemap %s: %w", told, err))
	}
	for _, n := range m.LongLines {
		if !yield(item{}, fmt.Errorf("sitemap %s:%d: %w", told, n, sitemap.ErrLongLine)) {
			return false
		}
	}
	l.found(len(m.URLs))
	for _, u := range m.URLs {
		if !yield(item{u, "sitemap " + told + ": ", of.trusted}, nil) {
			return false
		}
	}
	if len(m.Sitemaps) > 0 && depth == deepestSitemap {
		return yield(item{}, fmt.Errorf("sitemap %s: it lists sitemaps, more than %d indexes deep", told, deepestSitemap))
	}
	for _, inner := range m.Sitemaps {
		if !l.sitemap(ctx, item{url: inner, trusted: of.trusted}, depth+1, seen, yield) {
			return false
		}
	}
	return true
}

func (l *urlList) read(ctx context.Context, of item) (m sitemap.Sitemap, err error) {
	resp, err := l.fetch(ctx, of.url, of.trusted)
	if err != nil {
		return m, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return m, fmt.Errorf("the answer is %s", resp.Status)
	}
	if m, err = sitemap.Read(resp.Body); err != nil {
		return m, err
	}
	_, err = io.Copy(io.Discard, resp.Body) // to the very end, so that it is stored
	return m, err
}

// count returns how many URLs are listed; 0 if that takes waiting for a pipe or a sitemap.
func (l *urlList) count(ctx context.Context) (n int64) {
	for _, arg := range l.args {
		if arg == "-" {
			return 0
		}
		n++
	}
	for _, path := range l.files {
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			return 0
		}
		l.file(ctx, path, func(item, error) bool { n++; return true })
	}
	if len(l.sitemaps) > 0 {
		return 0
	}
	return n
}
