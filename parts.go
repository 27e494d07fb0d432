package larder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/larder-go/larder/internal/seek"
	"github.com/larder-go/larder/rfc9111"
	"github.com/larder-go/larder/store"
)

// maxParts bounds how many parts of one variant are kept. The oldest is dropped first.
const maxParts = 32

// assembly is what is stored of one representation in parts (RFC 9111 §3.4).
type assembly struct {
	whole *store.Record // their combined head, as that of a 200; not in the store
	parts []*store.Record
	have  []rfc9111.Part // the parts' bytes, in the same order
}

func isPart(r *store.Record) bool { return r.Status == http.StatusPartialContent }

// assemble combines the parts among records, which are newest first. It returns what can answer the request: the whole
// responses and, in place of the parts of a representation that hold all that the request wants, the head of the whole.
// Of the other representations that the request selects and this cache may use, x.incomplete becomes the newest.
func (c *Cache) assemble(x *exchange, records []*store.Record) []*store.Record {
	var all []*assembly // in the order of their newest parts; a whole record is one by itself
	for _, r := range records {
		i := slices.IndexFunc(all, func(a *assembly) bool { return c.takes(a, r) })
		if i < 0 {
			i, all = len(all), append(all, new(assembly))
		}
		all[i].parts = append(all[i].parts, r)
	}
	var usable []*store.Record
	for _, a := range all {
		if isPart(a.parts[0]) {
			c.combine(a)
		} else {
			a.whole = a.parts[0]
		}
		switch {
		case !isPart(a.parts[0]), a.missing(c.wanted(x, a)).Length == 0:
			usable = append(usable, a.whole)
		case x.incomplete == nil && c.policy().Reuse(&x.rr, c.readingOf(a.whole).alone[:], x.now).Index >= 0:
			x.incomplete = a
		}
	}
	return usable
}

// takes reports whether r is one more part of the representation that a assembles.
func (c *Cache) takes(a *assembly, r *store.Record) bool {
	first := a.parts[0]
	if !isPart(first) || !isPart(r) {
		return false
	}
	_, size := c.readingOf(first).parsed.Part()
	_, same := c.readingOf(r).parsed.Part()
	return first.Key == r.Key && size == same && rfc9111.Combinable(&c.readingOf(first).parsed, &c.readingOf(r).parsed) &&
		sameVariant(first.Selecting, r.Selecting)
}

// combine computes the parts' combined head: that of the newest, with the fields that only older ones have (RFC 9111
// §3.4).
func (c *Cache) combine(a *assembly) {
	newest := a.parts[0]
	header := maps.Clone(a.parts[len(a.parts)-1].Header)
	for _, p := range slices.Backward(a.parts[:len(a.parts)-1]) {
		header = c.policy().Freshen(header, p.Header)
	}
	for _, p := range a.parts {
		part, _ := c.readingOf(p).parsed.Part()
		a.have = append(a.have, part)
	}
	_, size := c.readingOf(newest).parsed.Part()
	delete(header, "Content-Range")
	delete(header, "Content-Digest") // it is of one part, as it was sent
	header["Content-Length"] = []string{strconv.FormatInt(size, 10)}
	a.whole = newest.Clone()
	a.whole.Status, a.whole.Header, a.whole.Body, a.whole.Size, a.whole.Length = http.StatusOK, header, nil, size, size
	c.readingOf(a.whole).assembly = a
}

// beginning returns the first n bytes of r, after which it broke off, as a part. It returns nil if they could not be
// combined with the rest later.
func (c *Cache) beginning(r *store.Record, n int64) *store.Record {
	parsed := &c.readingOf(r).parsed
	part, size := parsed.Part()
	if r.Status == http.StatusOK {
		part, size = rfc9111.Part{Length: r.Length}, r.Length
	}
	if n == 0 || n >= part.Length || r.Method != http.MethodGet || r.Uncompressed || !rfc9111.Combinable(parsed, parsed) ||
		strings.EqualFold(r.Header.Get("Accept-Ranges"), "none") {
		return nil
	}
	part.Length = n
	b := r.Clone()
	b.Status, b.Size, b.Length, b.Header = http.StatusPartialContent, n, n, maps.Clone(r.Header)
	delete(b.Header, "Content-Digest") // it is of the whole
	b.Header["Content-Range"] = []string{rfc9111.ContentRange(part, size)}
	b.Header["Content-Length"] = []string{strconv.FormatInt(n, 10)}
	return b
}

// wanted returns the ranges of the representation that the request wants.
func (c *Cache) wanted(x *exchange, a *assembly) []rfc9111.Part {
	if x.rr.Method == http.MethodGet || x.rr.Method == methodQuery {
		switch parts, status := rfc9111.Ranges(x.req.Header, &c.readingOf(a.whole).parsed, a.whole.Size); status {
		case http.StatusPartialContent:
			return parts
		case http.StatusRequestedRangeNotSatisfiable:
			return nil
		}
	}
	return []rfc9111.Part{{Start: 0, Length: a.whole.Size}}
}

// missing returns the missing span of the first range in want that is not complete.
func (a *assembly) missing(want []rfc9111.Part) rfc9111.Part {
	for _, w := range want {
		if m := rfc9111.Missing(w, a.have); m.Length > 0 {
			return m
		}
	}
	return rfc9111.Part{}
}

// asWhole returns r, or the whole of which it is a part, as package rfc9111 sees it.
func (c *Cache) asWhole(r *store.Record) []*rfc9111.Response {
	v := c.readingOf(r)
	if !isPart(r) {
		return v.alone[:]
	}
	whole := v.parsed
	whole.Status = http.StatusOK
	return []*rfc9111.Response{&whole}
}

// storedAs returns the stored records that r stands for.
func (c *Cache) storedAs(r *store.Record) []*store.Record {
	if a := c.readingOf(r).assembly; a != nil {
		return a.parts
	}
	return []*store.Record{r}
}

// idsOf returns the IDs under which r is stored.
func (c *Cache) idsOf(r *store.Record) []store.ID {
	var ids []store.ID
	for _, stored := range c.storedAs(r) {
		ids = append(ids, stored.ID)
	}
	return ids
}

// piece is a run of bytes to be read from one stored part.
type piece struct {
	rfc9111.Part
	body io.ReadSeekCloser
	at   int64 // where the part begins in the whole
}

// pieced reads the runs of bytes of a body that are stored. It seeks by positions in the whole.
type pieced struct {
	pieces []piece // in ascending order, without overlaps
	pos    int64
	size   int64
	sought bool // the piece at pos is positioned for reading
}

// openParts opens the parts that hold the bytes of want, all of which are stored.
func (c *Cache) openParts(x *exchange, a *assembly, want []rfc9111.Part) (_ *pieced, err error) {
	p := &pieced{size: a.whole.Size}
	defer func() {
		if err != nil {
			p.Close()
		}
	}()
	want = slices.Clone(want)
	slices.SortFunc(want, func(a, b rfc9111.Part) int { return cmp.Compare(a.Start, b.Start) })
	for _, w := range want {
		for pos := w.Start; pos < w.Start+w.Length; {
			i := a.longestAt(pos)
			if i < 0 {
				return nil, errors.New("larder: a part of the body is not there")
			}
			body, err := c.seekable(x, a.parts[i])
			if err != nil {
				return nil, err
			}
			end := min(a.have[i].Start+a.have[i].Length, w.Start+w.Length)
			p.pieces = append(p.pieces, piece{rfc9111.Part{Start: pos, Length: end - pos}, body, a.have[i].Start})
			pos = end
		}
	}
	return p, nil
}

// longestAt returns the index of the part that extends furthest of those with the byte at pos; -1: none has it.
func (a *assembly) longestAt(pos int64) int {
	best, end := -1, pos
	for i, p := range a.have {
		if p.Start <= pos && p.Start+p.Length > end {
			best, end = i, p.Start+p.Length
		}
	}
	return best
}

func (p *pieced) Read(b []byte) (int, error) {
	if p.pos >= p.size {
		return 0, io.EOF
	}
	i := slices.IndexFunc(p.pieces, func(q piece) bool { return q.Start <= p.pos && p.pos < q.Start+q.Length })
	if i < 0 {
		return 0, fmt.Errorf("larder: byte %d of the body is not there", p.pos)
	}
	q := &p.pieces[i]
	if !p.sought {
		if _, err := q.body.Seek(p.pos-q.at, io.SeekStart); err != nil {
			return 0, err
		}
	}
	n, err := q.body.Read(b[:min(int64(len(b)), q.Start+q.Length-p.pos)])
	p.pos += int64(n)
	p.sought = p.pos < q.Start+q.Length
	if err == io.EOF {
		if err = nil; p.sought {
			err = io.ErrUnexpectedEOF
		}
	}
	return n, err
}

func (p *pieced) Seek(offset int64, whence int) (int64, error) {
	to, err := seek.To(p.pos, p.size, offset, whence)
	if err != nil {
		return 0, err
	}
	p.pos, p.sought = to, false
	return to, nil
}

func (p *pieced) Close() error {
	var all closers
	for _, q := range p.pieces {
		all = append(all, q.body)
	}
	return all.Close()
}

// completion is a request for the missing bytes of a body that is stored in part.
type completion struct {
	x              *exchange // brief, with a context that outlasts the caller
	of             *assembly
	want           rfc9111.Part // what the caller gets: before, missing and behind
	before, behind rfc9111.Part // stored
	missing        rfc9111.Part
	conditions     http.Header
	stored         *pieced
	withheld       http.Header // fields of the origin's answer that must not be stored
}

// completion returns the request by which x is best answered with the help of stored parts; nil if they are of no use.
// The stored bytes are read with ctx.
func (c *Cache) completion(ctx context.Context, x *exchange) *completion {
	a := x.incomplete
	switch {
	case a == nil, x.unusable, x.ask.mode == ForceRefresh, x.rr.Method != http.MethodGet:
		return nil
	case x.req.Header["If-None-Match"] != nil || x.req.Header["If-Modified-Since"] != nil:
		return nil
	case x.verdict.Index >= 0 && !a.whole.Received.After(x.records[x.verdict.Index].Received): // a whole that came later is validated instead
		return nil
	}
	all := c.wanted(x, a)
	if len(all) != 1 {
		return nil
	}
	p := &completion{of: a, want: all[0], missing: a.missing(all)}
	p.conditions = rfc9111.Completion(&c.readingOf(a.whole).parsed, p.missing, a.whole.Size)
	if p.missing == p.want || len(p.conditions) == 0 {
		return nil
	}
	p.before = rfc9111.Part{Start: p.want.Start, Length: p.missing.Start - p.want.Start}
	p.behind.Start = p.missing.Start + p.missing.Length
	p.behind.Length = p.want.Start + p.want.Length - p.behind.Start
	p.x = x.brief()
	p.x.req = p.x.req.Clone(ctx) // others may read on while the caller reuses its request
	var err error
	if p.stored, err = c.openParts(p.x, a, []rfc9111.Part{p.before, p.behind}); err != nil {
		return nil
	}
	return p
}

// complete turns resp, the answer to p's request, into the answer to the caller's, if it brings what is missing: the
// whole, or the part that the caller wants. It returns false if resp answers p's request alone.
func (c *Cache) complete(p *completion, resp *http.Response) bool {
	if resp.StatusCode != http.StatusPartialContent {
		p.stored.Close()
		return resp.StatusCode != http.StatusRequestedRangeNotSatisfiable
	}
	whole := p.of.whole
	brought := rfc9111.Parse(rfc9111.Response{Method: http.MethodGet, Status: resp.StatusCode, Header: resp.Header, Received: c.now()})
	part, size := brought.Part()
	if part != p.missing || size != whole.Size || !rfc9111.Combinable(&c.readingOf(whole).parsed, brought) ||
		resp.ContentLength >= 0 && resp.ContentLength != part.Length {
		p.stored.Close()
		return false
	}
	said := resp.Header
	resp.Header = c.policy().Freshen(whole.Header, said).Clone() // the caller may change it
	p.withheld = c.policy().Withheld(resp.Header, said)
	maps.Copy(resp.Header, p.withheld)
	resp.StatusCode = http.StatusOK
	if p.want.Length < size {
		resp.StatusCode = http.StatusPartialContent
		resp.Header.Set("Content-Range", rfc9111.ContentRange(p.want, size))
	}
	resp.Status, resp.Trailer, resp.TransferEncoding = statusText(resp.StatusCode), nil, nil
	setLength(resp, p.want.Length)
	before, behind := p.read(c, p.before), p.read(c, p.behind)
	resp.Body = readCloser{
		io.MultiReader(before, &exactly{resp.Body, part.Length}, behind),
		closers{before, resp.Body, behind, p.stored},
	}
	return true
}

// read returns a reader of a stored part. A damaged part is removed.
func (p *completion) read(c *Cache, part rfc9111.Part) io.ReadCloser {
	return &storedBody{c: c, x: p.x, r: p.of.whole, rc: io.NopCloser(&section{rs: p.stored, part: part}), left: part}
}

// exactly returns a reader of n bytes, for which fewer are an error.
type exactly struct {
	r io.Reader
	n int64
}

func (e *exactly) Read(p []byte) (int, error) {
	if e.n == 0 {
		return 0, io.EOF
	}
	n, err := e.r.Read(p[:min(int64(len(p)), e.n)])
	e.n -= int64(n)
	if err == io.EOF {
		if err = nil; e.n > 0 {
			err = io.ErrUnexpectedEOF
		}
	}
	return n, err
}

type closers []io.Closer

func (cc closers) Close() error {
	var all []error
	for _, c := range cc {
		all = append(all, c.Close())
	}
	return errors.Join(all...)
}
