package storetest

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/memory"
)

var errBroken = errors.New("broken")

type brokenStore struct {
	case_  string
	how    string
	break_ func(*hooked)
}

// broken has for each case at least one store that breaks its promise: a case that nothing can fail proves nothing.
var broken = []brokenStore{
	{"a record comes back as it was stored", "loses the trailer", onCommit(func(r *store.Record) { r.Trailer = nil })},
	{"a record comes back as it was stored", "loses the names without a value", onCommit(func(r *store.Record) { delete(r.Selecting, "Accept-Language") })},
	{"a record comes back as it was stored", "rounds times to milliseconds", onCommit(func(r *store.Record) { r.Received = r.Received.Truncate(time.Millisecond) })},
	{"a record comes back as it was stored", "loses certificates", onCommit(func(r *store.Record) {
		if r.TLS != nil {
			r.TLS = &store.Connection{Version: r.TLS.Version, CipherSuite: r.TLS.CipherSuite, ServerName: r.TLS.ServerName, Protocol: r.TLS.Protocol}
		}
	})},
	{"odd header values come back", "spells names its own way", onCommit(func(r *store.Record) {
		h := http.Header{}
		for name, vv := range r.Header {
			h[http.CanonicalHeaderKey(name)] = vv
		}
		r.Header = h
	})},
	{"odd header values come back", "takes values for UTF-8", onCommit(func(r *store.Record) {
		for _, vv := range r.Header {
			for i := range vv {
				vv[i] = strings.ToValidUTF8(vv[i], "?")
			}
		}
	})},
	{"a head of 100 KB comes back", "cuts the header", onCommit(func(r *store.Record) { r.Header["Link"] = r.Header["Link"][:min(50, len(r.Header["Link"]))] })},
	{"a head of 17 MiB comes back or is refused", "loses it", onLookup(func(found []*store.Record) []*store.Record {
		return slices.DeleteFunc(found, func(r *store.Record) bool { return len(r.Header.Get("Long")) > 16<<20 })
	})},
	{"a record with nothing but a key comes back", "fills in a method", onCommit(func(r *store.Record) {
		if r.Method == "" {
			r.Method = "GET"
		}
	})},
	{"bodies of every size come back", "cuts the body at the hint", func(h *hooked) {
		h.create = func(ctx context.Context, r *store.Record) (store.Writer, error) {
			hint, written := r.Size, int64(0)
			return wrap(h, ctx, r, func(w *hookedWriter) {
				w.write = func(p []byte) (int, error) {
					q := p
					if hint >= 0 {
						q = p[:min(int64(len(p)), hint-written)]
					}
					written += int64(len(q))
					_, err := w.Writer.Write(q)
					return len(p), err
				}
				w.commit = func(r *store.Record, superseded ...store.ID) error {
					r = r.Clone()
					r.Size = written
					return w.Writer.Commit(r, superseded...)
				}
			})
		}
	}},
	{"bodies of every size come back", "keeps the slice given to Write", onWriter(func(w *hookedWriter) {
		var kept [][]byte
		w.write = func(p []byte) (int, error) {
			kept = append(kept, p)
			return len(p), nil
		}
		w.commit = func(r *store.Record, superseded ...store.ID) error {
			for _, p := range kept {
				w.Writer.Write(p)
			}
			return w.Writer.Commit(r, superseded...)
		}
	})},
	{"a body written byte by byte comes back", "takes an empty Write for a fault", onWriter(func(w *hookedWriter) {
		w.write = func(p []byte) (int, error) {
			if len(p) == 0 {
				return 0, io.ErrShortWrite
			}
			return w.Writer.Write(p)
		}
	})},
	{"nothing is visible before Commit", "shows the record at once", func(h *hooked) {
		h.create = func(ctx context.Context, r *store.Record) (store.Writer, error) {
			put(h, r, "")
			return h.Store.Create(ctx, r)
		}
	}},
	{"Close without Commit discards", "commits on Close", func(h *hooked) {
		h.create = func(ctx context.Context, r *store.Record) (store.Writer, error) {
			return wrap(h, ctx, r, func(w *hookedWriter) {
				n := 0
				w.write = func(p []byte) (int, error) { n += len(p); return w.Writer.Write(p) }
				w.close_ = func() error {
					r.Size = int64(n)
					w.Writer.Commit(r)
					return w.Writer.Close()
				}
			})
		}
	}},
	{"Close may be called twice", "fails the second time", onWriter(func(w *hookedWriter) {
		closed := false
		w.close_ = func() error {
			if closed {
				return errBroken
			}
			closed = true
			return w.Writer.Close()
		}
	})},
	{"Close ends the write", "still commits", onWriter(func(w *hookedWriter) { w.close_ = func() error { return nil } })},
	{"Close ends the write", "lets the body end there", onWriter(func(w *hookedWriter) {
		w.readAt = func(p []byte, off int64) (int, error) {
			n, err := w.Writer.ReadAt(p, off)
			if err != nil {
				err = io.EOF
			}
			return n, err
		}
	})},
	{"ReadAt reads back what is written", "is silent at the end", onWriter(func(w *hookedWriter) {
		w.readAt = func(p []byte, off int64) (int, error) {
			n, err := w.Writer.ReadAt(p, off)
			if n > 0 && err == io.EOF {
				err = nil
			}
			return n, err
		}
	})},
	{"ReadAt reads back what is written", "stops with Commit", onWriter(func(w *hookedWriter) {
		committed := false
		w.commit = func(r *store.Record, superseded ...store.ID) error {
			committed = true
			return w.Writer.Commit(r, superseded...)
		}
		w.readAt = func(p []byte, off int64) (int, error) {
			if committed {
				return 0, errBroken
			}
			return w.Writer.ReadAt(p, off)
		}
	})},
	{"ReadAt works beside Write", "serves one reader at a time", onWriter(func(w *hookedWriter) {
		var busy sync.Mutex
		w.readAt = func(p []byte, off int64) (int, error) {
			if !busy.TryLock() {
				return 0, errBroken
			}
			defer busy.Unlock()
			for range 1000 { // until another comes
				runtime.Gosched()
			}
			return w.Writer.ReadAt(p, off)
		}
	})},
	{"Commit with another Size fails", "corrects the Size", onWriter(func(w *hookedWriter) {
		n := 0
		w.write = func(p []byte) (int, error) { n += len(p); return w.Writer.Write(p) }
		w.commit = func(r *store.Record, superseded ...store.ID) error {
			r = r.Clone()
			r.Size = int64(n)
			return w.Writer.Commit(r, superseded...)
		}
	})},
	{"Commit with another Size fails", "removes the superseded all the same", removeFirst},
	{"Commit removes the superseded alone", "removes nothing", onWriter(func(w *hookedWriter) {
		w.commit = func(r *store.Record, superseded ...store.ID) error { return w.Writer.Commit(r) }
	})},
	{"Commit removes the superseded alone", "removes the whole key", func(h *hooked) {
		onWriter(func(w *hookedWriter) {
			w.commit = func(r *store.Record, superseded ...store.ID) error {
				h.Store.Delete(context.Background(), r.Key)
				return w.Writer.Commit(r)
			}
		})(h)
	}},
	{"Commit ignores absent superseded ids", "wants them to be there", func(h *hooked) {
		onWriter(func(w *hookedWriter) {
			w.commit = func(r *store.Record, superseded ...store.ID) error {
				found, _ := h.Store.Lookup(context.Background(), r.Key)
				for _, id := range superseded {
					if !slices.Contains(ids(found), id.String()) {
						return store.ErrNotFound
					}
				}
				return w.Writer.Commit(r, superseded...)
			}
		})(h)
	}},
	{"Commit takes every field from its own record", "keeps the head given to Create", func(h *hooked) {
		h.create = func(ctx context.Context, r *store.Record) (store.Writer, error) {
			early := r.Clone()
			return wrap(h, ctx, r, func(w *hookedWriter) {
				w.commit = func(r *store.Record, superseded ...store.ID) error {
					early.Size = r.Size
					return w.Writer.Commit(early, superseded...)
				}
			})
		}
	}},
	{"Commit stores the bytes written, not Body", "prefers Body", func(h *hooked) {
		onWriter(func(w *hookedWriter) {
			w.commit = func(r *store.Record, superseded ...store.ID) error {
				if r.Body != nil {
					return put(h, r, string(r.Body))
				}
				return w.Writer.Commit(r, superseded...)
			}
		})(h)
	}},
	{"several writes to one key at once", "has one write a key", func(h *hooked) {
		writing := map[store.Key]bool{}
		h.create = func(ctx context.Context, r *store.Record) (store.Writer, error) {
			if writing[r.Key] {
				return nil, errBroken
			}
			writing[r.Key] = true
			return h.Store.Create(ctx, r)
		}
	}},
	{"a body too large is refused whole", "fails with an error of its own", func(h *hooked) {
		h.create = func(ctx context.Context, r *store.Record) (store.Writer, error) {
			if r.Size > 32<<20 {
				return nil, errBroken
			}
			return h.Store.Create(ctx, r)
		}
	}},
	{"a body too large is refused whole", "keeps what fits", onWriter(func(w *hookedWriter) {
		w.write = func(p []byte) (int, error) {
			w.Writer.Write(p[:min(len(p), 1<<20)])
			return len(p), nil
		}
		w.commit = func(r *store.Record, superseded ...store.ID) error {
			r = r.Clone()
			r.Size = min(r.Size, 1<<20)
			return errors.Join(w.Writer.Commit(r, superseded...), store.ErrTooLarge)
		}
	})},
	{"an absurd hint is survived", "believes it", func(h *hooked) {
		h.create = func(ctx context.Context, r *store.Record) (store.Writer, error) {
			return h.Store.Create(ctx, &store.Record{Key: r.Key, ID: r.ID, Body: make([]byte, r.Size)}) // panics
		}
	}},
	{"a cancelled write stores all or nothing", "removes the superseded, then sees that it is cancelled", removeFirst},
	{"Lookup of an absent key finds nothing", "calls it an error", func(h *hooked) {
		h.lookup = func(ctx context.Context, key store.Key) ([]*store.Record, error) {
			found, err := h.Store.Lookup(ctx, key)
			if len(found) == 0 {
				err = store.ErrNotFound
			}
			return found, err
		}
	}},
	{"Lookup returns every variant, newest first", "has one variant a key", onLookup(func(rr []*store.Record) []*store.Record { return rr[:1] })},
	{"Lookup returns every variant, newest first", "forgets the eighth", onLookup(func(rr []*store.Record) []*store.Record { return rr[:min(7, len(rr))] })},
	{"Lookup orders by ID, not by time of storing", "puts the oldest first", onLookup(func(rr []*store.Record) []*store.Record {
		slices.Reverse(rr)
		return rr
	})},
	{"a record that was found never changes", "updates in place", func(h *hooked) {
		h.update = func(ctx context.Context, r *store.Record) error {
			found, _ := h.Store.Lookup(ctx, r.Key)
			for _, old := range found {
				if old.ID == r.ID {
					old.Head = r.Head
					return nil
				}
			}
			return store.ErrNotFound
		}
	}},
	{"Open works for every committed record", "has no empty bodies", func(h *hooked) {
		h.open = func(ctx context.Context, r *store.Record) (io.ReadSeekCloser, error) {
			if r.Size == 0 {
				return nil, store.ErrNotFound
			}
			return h.Store.Open(ctx, r)
		}
	}},
	{"Open works for every committed record", "goes by the head", func(h *hooked) {
		h.open = func(ctx context.Context, r *store.Record) (io.ReadSeekCloser, error) {
			if r.Status == 0 {
				return nil, store.ErrNotFound
			}
			return h.Store.Open(ctx, r)
		}
	}},
	{"the body can be sought", "seeks from the start alone", onReader(func(r io.ReadSeekCloser) io.ReadSeekCloser { return startSeeker{r} })},
	{"readers of one body are independent", "has one reader a body", func(h *hooked) {
		opened := map[store.ID]io.ReadSeekCloser{}
		h.open = func(ctx context.Context, r *store.Record) (io.ReadSeekCloser, error) {
			if opened[r.ID] == nil {
				opened[r.ID], _ = h.Store.Open(ctx, r)
			}
			return opened[r.ID], nil
		}
	}},
	{"Open of an absent record fails with ErrNotFound", "fails with another error", func(h *hooked) {
		h.open = func(ctx context.Context, r *store.Record) (io.ReadSeekCloser, error) {
			b, err := h.Store.Open(ctx, r)
			if err != nil {
				err = errBroken
			}
			return b, err
		}
	}},
	{"a reader outlives its record", "reads on in the newest body", func(h *hooked) {
		h.open = func(ctx context.Context, r *store.Record) (io.ReadSeekCloser, error) {
			return &newest{h: h, key: r.Key}, nil
		}
	}},
	{"a reader outlives its record", "fails with an error of its own", func(h *hooked) {
		h.open = func(ctx context.Context, r *store.Record) (io.ReadSeekCloser, error) {
			b, err := h.Store.Open(ctx, r)
			return mortal{b, h, r}, err
		}
	}},
	{"a record that is gone yields its own bytes or none", "opens the newest body of the key", func(h *hooked) {
		onLookup(func(rr []*store.Record) []*store.Record {
			for i, r := range rr {
				rr[i] = r.Clone()
				rr[i].Body = nil
			}
			return rr
		})(h)
		h.open = func(ctx context.Context, r *store.Record) (io.ReadSeekCloser, error) {
			found, _ := h.Store.Lookup(ctx, r.Key)
			if len(found) == 0 {
				return nil, store.ErrNotFound
			}
			return h.Store.Open(ctx, found[0])
		}
	}},
	{"odd keys are kept apart", "ends keys at NUL", onKey(func(k string) string { k, _, _ = strings.Cut(k, "\x00"); return k + "." })},
	{"odd keys are kept apart", "is blind to case", onKey(strings.ToLower)},
	{"odd keys are kept apart", "takes keys for UTF-8", onKey(func(k string) string { return strings.ToValidUTF8(k, "?") })},
	{"odd keys are kept apart", "shortens long keys", onKey(func(k string) string { return k[:min(len(k), 10<<10)] })},
	{"Update replaces the head alone", "replaces Body and Size too", func(h *hooked) {
		h.update = func(ctx context.Context, r *store.Record) error { return put(h, r, string(r.Body)) }
	}},
	{"Update replaces the head alone", "takes a Body as long as the old one for it", func(h *hooked) {
		h.update = func(ctx context.Context, r *store.Record) error {
			if found, _ := h.Store.Lookup(ctx, r.Key); len(found) == 1 && len(r.Body) > 0 && len(r.Body) == len(found[0].Body) {
				return put(h, r, string(r.Body))
			}
			return h.Store.Update(ctx, r)
		}
	}},
	{"Update replaces the head alone", "changes what it is given", func(h *hooked) {
		h.update = func(ctx context.Context, r *store.Record) error {
			found, _ := h.Store.Lookup(ctx, r.Key)
			for _, old := range found {
				r.Size, r.Body = old.Size, old.Body
			}
			return h.Store.Update(ctx, r)
		}
	}},
	{"Update replaces the head alone", "leaves the tags", func(h *hooked) {
		h.update = func(ctx context.Context, r *store.Record) error {
			r = r.Clone()
			r.Tags = nil
			return h.Store.Update(ctx, r)
		}
	}},
	{"Update leaves the other variants alone", "updates the whole key", func(h *hooked) {
		h.update = func(ctx context.Context, r *store.Record) error {
			found, _ := h.Store.Lookup(ctx, r.Key)
			for _, other := range found {
				u := r.Clone()
				u.ID = other.ID
				h.Store.Update(ctx, u)
			}
			return nil
		}
	}},
	{"Update of what is gone changes nothing", "stores it again", resurrect},
	{"Update of what is gone changes nothing", "is silent about it", func(h *hooked) {
		h.update = func(ctx context.Context, r *store.Record) error {
			h.Store.Update(ctx, r)
			return nil
		}
	}},
	{"Update beside Delete never resurrects", "stores it again", resurrect},
	{"Update beside Delete never resurrects", "looks first, then stores", func(h *hooked) {
		type meeting struct { // of an Update and the Delete between its two steps
			once            sync.Once
			looked, deleted chan struct{}
		}
		var meetings sync.Map
		of := func(id store.ID) *meeting {
			m, _ := meetings.LoadOrStore(id, &meeting{looked: make(chan struct{}), deleted: make(chan struct{})})
			return m.(*meeting)
		}
		h.update = func(ctx context.Context, r *store.Record) error {
			if found, _ := h.Store.Lookup(ctx, r.Key); len(found) == 0 {
				return store.ErrNotFound
			}
			m := of(r.ID)
			m.once.Do(func() { close(m.looked) })
			<-m.deleted
			return put(h, r, "resurrected")
		}
		h.delete_ = func(ctx context.Context, key store.Key, ids ...store.ID) error {
			m := of(ids[0])
			<-m.looked
			defer close(m.deleted)
			return h.Store.Delete(ctx, key, ids...)
		}
	}},
	{"Delete removes the named ids", "removes the whole key", func(h *hooked) {
		h.delete_ = func(ctx context.Context, key store.Key, _ ...store.ID) error { return h.Store.Delete(ctx, key) }
	}},
	{"Delete removes the named ids", "removes the first named", func(h *hooked) {
		h.delete_ = func(ctx context.Context, key store.Key, ids ...store.ID) error {
			return h.Store.Delete(ctx, key, ids[:min(1, len(ids))]...)
		}
	}},
	{"Delete without ids removes all of the key", "removes the newest", func(h *hooked) {
		h.delete_ = func(ctx context.Context, key store.Key, ids ...store.ID) error {
			if found, _ := h.Store.Lookup(ctx, key); len(ids) == 0 && len(found) > 0 {
				ids = append(ids, found[0].ID)
			}
			return h.Store.Delete(ctx, key, ids...)
		}
	}},
	{"Delete of what is absent is no error", "calls it an error", func(h *hooked) {
		h.delete_ = func(ctx context.Context, key store.Key, ids ...store.ID) error {
			if found, _ := h.Store.Lookup(ctx, key); len(found) == 0 {
				return store.ErrNotFound
			}
			return h.Store.Delete(ctx, key, ids...)
		}
	}},
	{"what was deleted can be stored again", "buries the key", func(h *hooked) {
		buried := map[store.Key]bool{}
		h.delete_ = func(ctx context.Context, key store.Key, ids ...store.ID) error {
			buried[key] = true
			return h.Store.Delete(ctx, key, ids...)
		}
		h.lookup = func(ctx context.Context, key store.Key) ([]*store.Record, error) {
			if buried[key] {
				return nil, nil
			}
			return h.Store.Lookup(ctx, key)
		}
	}},
	{"a cancelled call returns and harms nothing", "takes it for damage", func(h *hooked) {
		h.lookup = func(ctx context.Context, key store.Key) ([]*store.Record, error) {
			if ctx.Err() != nil {
				h.Store.Delete(ctx, key)
				return nil, store.ErrCorrupt
			}
			return h.Store.Lookup(ctx, key)
		}
	}},
	{"Find of an empty store yields nothing", "yields an error", func(h *hooked) {
		h.find = func(ctx context.Context, q store.Query) iter.Seq2[*store.Record, error] {
			if n, _, _ := h.Store.Size(ctx); n == 0 {
				return func(yield func(*store.Record, error) bool) { yield(nil, store.ErrNotFound) }
			}
			return h.Store.Find(ctx, q)
		}
	}},
	{"Find yields every record once", "lists the newest of a key", onFind(func(h *hooked, r *store.Record) bool {
		found, _ := h.Store.Lookup(context.Background(), r.Key)
		return len(found) > 0 && found[0].ID == r.ID
	})},
	{"Find yields every record once", "lists twice", func(h *hooked) {
		h.find = func(ctx context.Context, q store.Query) iter.Seq2[*store.Record, error] {
			return func(yield func(*store.Record, error) bool) {
				for r, err := range h.Store.Find(ctx, q) {
					for range 2 {
						if !yield(r, err) {
							return
						}
					}
				}
			}
		}
	}},
	{"Find yields what the query means", "ignores Key", onQuery(func(q *store.Query) { q.Key = "" })},
	{"Find yields what the query means", "ignores ID", onQuery(func(q *store.Query) { q.ID = store.ID{} })},
	{"Find yields what the query means", "ignores URL", onQuery(func(q *store.Query) { q.URL = "" })},
	{"Find yields what the query means", "ignores Prefix", onQuery(func(q *store.Query) { q.Prefix = "" })},
	{"Find yields what the query means", "ignores Host", onQuery(func(q *store.Query) { q.Host = "" })},
	{"Find yields what the query means", "ignores Tag", onQuery(func(q *store.Query) { q.Tag = "" })},
	{"Find yields what the query means", "ignores Stale", onQuery(func(q *store.Query) { q.Stale = time.Time{} })},
	{"Find yields what the query means", "ignores Ended", onQuery(func(q *store.Query) { q.Ended = time.Time{} })},
	{"Find yields what the query means", "ignores Before", onQuery(func(q *store.Query) { q.Before = time.Time{} })},
	{"Find yields what the query means", "ignores Filter", onQuery(func(q *store.Query) { q.Filter = nil })},
	{"Find yields what the query means", "is blind to case, as LIKE is", onQuery(func(q *store.Query) {
		prefix := strings.ToLower(q.Prefix)
		q.Prefix = ""
		q.Filter = and(q.Filter, func(r *store.Record) bool { return strings.HasPrefix(strings.ToLower(r.URL), prefix) })
	})},
	{"Find yields what the query means", "takes no end for an early one", onQuery(func(q *store.Query) {
		ended := q.Ended
		q.Ended = time.Time{}
		q.Filter = and(q.Filter, func(r *store.Record) bool { return ended.IsZero() || r.KeepUntil.Before(ended) })
	})},
	{"Find knows a host in any case", "knows the case of ASCII alone, as SQL does", onQuery(func(q *store.Query) {
		host := strings.ToLower(q.Host)
		q.Host = ""
		q.Filter = and(q.Filter, func(r *store.Record) bool { return host == "" || strings.ToLower(store.Host(r.URL)) == host })
	})},
	{"Find yields the head without the Body", "yields the Body", func(h *hooked) {
		h.find = func(ctx context.Context, q store.Query) iter.Seq2[*store.Record, error] {
			return func(yield func(*store.Record, error) bool) {
				for r := range h.Store.Find(ctx, q) {
					found, _ := h.Store.Lookup(ctx, r.Key)
					if !yield(found[0], nil) {
						return
					}
				}
			}
		}
	}},
	{"Find stops after Limit", "goes on", onQuery(func(q *store.Query) { q.Limit = 0 })},
	{"Find stops after Limit", "counts before it filters", func(h *hooked) {
		h.find = func(ctx context.Context, q store.Query) iter.Seq2[*store.Record, error] {
			return func(yield func(*store.Record, error) bool) {
				for r, err := range h.Store.Find(ctx, store.Query{Limit: q.Limit}) {
					if q.Match(r) && !yield(r, err) {
						return
					}
				}
			}
		}
	}},
	{"Find runs beside writes", "ends when something is written", func(h *hooked) {
		var writes atomic.Int64
		h.create = func(ctx context.Context, r *store.Record) (store.Writer, error) {
			writes.Add(1)
			return h.Store.Create(ctx, r)
		}
		h.find = func(ctx context.Context, q store.Query) iter.Seq2[*store.Record, error] {
			return func(yield func(*store.Record, error) bool) {
				before := writes.Load()
				for r, err := range h.Store.Find(ctx, q) {
					runtime.Gosched()
					if writes.Load() != before || !yield(r, err) {
						return
					}
				}
			}
		}
	}},
	{"Sweep removes what has ended", "removes what ends now", func(h *hooked) {
		h.sweep = func(ctx context.Context, now time.Time) (int, error) { return h.Store.Sweep(ctx, now.Add(1)) }
	}},
	{"Sweep removes what has ended", "counts wrong", func(h *hooked) {
		h.sweep = func(ctx context.Context, now time.Time) (int, error) {
			n, err := h.Store.Sweep(ctx, now)
			return min(n, 1), err
		}
	}},
	{"Sweep leaves what has no end", "takes no end for an early one", onSweep(func(r *store.Record, now time.Time) bool { return r.KeepUntil.Before(now) })},
	{"Sweep leaves what has no end", "removes what is stale", onSweep(func(r *store.Record, now time.Time) bool { return r.FreshUntil.Before(now) })},
	{"Sweep goes by the KeepUntil of the last Update", "goes by the first one", func(h *hooked) {
		h.update = func(ctx context.Context, r *store.Record) error {
			found, _ := h.Store.Lookup(ctx, r.Key)
			r = r.Clone()
			r.KeepUntil = found[0].KeepUntil
			return h.Store.Update(ctx, r)
		}
	}},
	{"Sweep spares a write in progress", "takes it for a remain", sweepWrites},
	{"Size counts records and bytes", "leaves out bodies", func(h *hooked) {
		h.size = func() (int, int64, error) {
			n, _, err := h.Store.Size(context.Background())
			return n, int64(n) * 500, err
		}
	}},
	{"Size counts records and bytes", "never shrinks", func(h *hooked) {
		most := int64(0)
		h.size = func() (int, int64, error) {
			n, bytes, err := h.Store.Size(context.Background())
			most = max(most, bytes)
			return n, most, err
		}
	}},
	{"a reader finds the old record or the new", "removes first, then commits", removeFirst},
	{"sixteen goroutines do everything at once", "has one buffer for all writers", oneBuffer},
	{"sixteen goroutines do everything at once", "makes each Update a moment too late", func(h *hooked) {
		var last atomic.Pointer[store.Record]
		h.update = func(ctx context.Context, r *store.Record) error {
			if r = last.Swap(r); r == nil {
				return nil
			}
			return h.Store.Update(ctx, r)
		}
	}},
	{"two handles do everything at once", "has one buffer for all writers", oneBuffer},
	{"a lease has one holder", "gives it to everybody", func(h *hooked) { h.lease = func(store.Key, store.ID, time.Duration) bool { return true } }},
	{"a lease has one holder", "does not let it be renewed", func(h *hooked) {
		h.lease = func(key store.Key, holder store.ID, ttl time.Duration) bool {
			return h.holder(key) != holder && h.take(key, holder, ttl)
		}
	}},
	{"a lease is for one key", "has one for all", func(h *hooked) {
		h.lease = func(_ store.Key, holder store.ID, ttl time.Duration) bool { return h.take("all", holder, ttl) }
	}},
	{"Release ends one's own lease alone", "ends everybody's", func(h *hooked) { h.release = func(key store.Key, _ store.ID) { h.end(key) } }},
	{"Release ends one's own lease alone", "does not end it", func(h *hooked) { h.release = func(store.Key, store.ID) {} }},
	{"a lease ends by itself, and not before", "does not lengthen it when it is renewed", func(h *hooked) {
		h.lease = func(key store.Key, holder store.ID, ttl time.Duration) bool {
			return h.holder(key) == holder || h.take(key, holder, ttl)
		}
	}},
	{"a lease of the far future is held by nobody", "waits for it", func(h *hooked) {
		h.lease = func(key store.Key, holder store.ID, ttl time.Duration) bool {
			h.mu.Lock()
			l := h.leases[key]
			h.mu.Unlock()
			return (l.holder == holder || time.Now().After(l.until)) && h.take(key, holder, ttl)
		}
	}},
	{"of many at once one gets the lease", "looks first and takes it then", func(h *hooked) {
		var looking sync.WaitGroup
		looking.Add(2)
		var n atomic.Int32
		h.lease = func(key store.Key, holder store.ID, ttl time.Duration) bool {
			free := h.holder(key) == store.ID{}
			if n.Add(1) <= 2 { // the first two look at the same moment
				looking.Done()
				looking.Wait()
			}
			if !free {
				return false
			}
			h.end(key)
			return h.take(key, holder, ttl)
		}
	}},
	{"Find ends when what it yields is replaced", "begins again", func(h *hooked) {
		h.find = func(ctx context.Context, q store.Query) iter.Seq2[*store.Record, error] {
			return func(yield func(*store.Record, error) bool) {
				for {
					for r, err := range h.Store.Find(ctx, q) {
						if !yield(r, err) {
							return
						}
					}
				}
			}
		}
	}},
}

// hanging are broken stores that are only noticed by waiting.
var hanging = []brokenStore{
	{"a cancelled call returns and harms nothing", "waits for ever", func(h *hooked) {
		h.update = func(ctx context.Context, r *store.Record) error {
			if ctx.Err() != nil {
				select {}
			}
			return h.Store.Update(ctx, r)
		}
	}},
	{"Find may be broken off", "keeps a connection of ten", func(h *hooked) {
		connections := make(chan struct{}, 10)
		h.find = func(ctx context.Context, q store.Query) iter.Seq2[*store.Record, error] {
			return func(yield func(*store.Record, error) bool) {
				connections <- struct{}{}
				for r, err := range h.Store.Find(ctx, q) {
					if !yield(r, err) {
						return
					}
				}
				<-connections
			}
		}
	}},
	{"the store may be used inside Find", "locks the store", func(h *hooked) {
		var mu sync.Mutex
		h.find = func(ctx context.Context, q store.Query) iter.Seq2[*store.Record, error] {
			return func(yield func(*store.Record, error) bool) {
				mu.Lock()
				defer mu.Unlock()
				h.Store.Find(ctx, q)(yield)
			}
		}
		h.delete_ = func(ctx context.Context, key store.Key, ids ...store.ID) error {
			mu.Lock()
			defer mu.Unlock()
			return h.Store.Delete(ctx, key, ids...)
		}
	}},
}

// brokenKits are kits around promises that a single store cannot break.
var brokenKits = []struct {
	case_ string
	how   string
	kit   func(*Kit)
}{
	{"a body too large is refused whole", "takes it", func(k *Kit) { k.MaxBody = 1 << 20 }},
	{"sixteen goroutines do everything in little room", "has one buffer for all writers", func(k *Kit) {
		k.OpenLimited = func(_ string, limit int64) (store.Store, error) {
			h := &hooked{Store: &memory.Store{MaxBytes: limit}}
			oneBuffer(h)
			return h, nil
		}
	}},
	{"a limited store stays within its limit", "ignores the limit", func(k *Kit) {
		k.OpenLimited = func(string, int64) (store.Store, error) { return new(memory.Store), nil }
	}},
	{"a limited store stays within its limit", "keeps nothing", func(k *Kit) {
		k.OpenLimited = func(_ string, limit int64) (store.Store, error) {
			return &hooked{Store: &memory.Store{MaxBytes: limit}, lookup: func(context.Context, store.Key) ([]*store.Record, error) { return nil, nil }}, nil
		}
	}},
	{"records survive closing and opening", "begins anew", func(k *Kit) {
		k.Open = func(string) (store.Store, error) { return new(memory.Store), nil }
	}},
	{"what was not committed does not survive", "finds what was being written", func(k *Kit) {
		h := &hooked{Store: new(memory.Store)}
		var writing *store.Record
		h.create = func(ctx context.Context, r *store.Record) (store.Writer, error) {
			writing = r
			return h.Store.Create(ctx, r)
		}
		k.Open = func(string) (store.Store, error) {
			if writing != nil {
				put(h, writing, "torn")
			}
			return h, nil
		}
	}},
	{"a second handle sees what the first does", "remembers what it looked up", func(k *Kit) {
		shared := new(memory.Store)
		k.Open = func(string) (store.Store, error) {
			h := &hooked{Store: shared}
			var seen sync.Map
			h.lookup = func(ctx context.Context, key store.Key) ([]*store.Record, error) {
				if found, ok := seen.Load(key); ok {
					return found.([]*store.Record), nil
				}
				found, err := h.Store.Lookup(ctx, key)
				if len(found) > 0 {
					seen.Store(key, found)
				}
				return found, err
			}
			return h, nil
		}
	}},
	{"Sweep of one handle spares the writes of another", "takes them for remains", func(k *Kit) {
		h := &hooked{Store: new(memory.Store)}
		sweepWrites(h)
		k.Open = func(string) (store.Store, error) { return h, nil }
	}},
	{"a damaged head is left out, reported and removed", "does not see it", func(k *Kit) { k.DamageHead = func(string, *store.Record) error { return nil } }},
	{"a damaged head is left out, reported and removed", "removes it under Inspect, too", func(k *Kit) {
		open := k.Open
		k.Open = func(dir string) (store.Store, error) {
			s, err := open(dir)
			h := s.(*hooked)
			lookup := h.lookup
			h.lookup = func(_ context.Context, key store.Key) ([]*store.Record, error) {
				return lookup(context.Background(), key)
			}
			return h, err
		}
	}},
	{"a damaged body is never read as whole", "removes it under Inspect, too", func(k *Kit) {
		open := k.Open
		k.Open = func(dir string) (store.Store, error) {
			s, err := open(dir)
			h := s.(*hooked)
			read := h.open
			h.open = func(ctx context.Context, r *store.Record) (io.ReadSeekCloser, error) {
				b, err := read(ctx, r)
				if errors.Is(err, store.ErrCorrupt) {
					h.Store.Delete(ctx, r.Key, r.ID)
				}
				return b, err
			}
			return h, err
		}
	}},
	{"a damaged body is never read as whole", "does not see it", func(k *Kit) { k.DamageBody = func(string, *store.Record) error { return nil } }},
}

func TestBrokenStoreIsCaught(t *testing.T) {
	try := func(name, how string, kit Kit, patience time.Duration) {
		t.Run(name+"/"+how, func(t *testing.T) {
			i := slices.IndexFunc(cases, func(c test) bool { return c.name == name })
			if i < 0 {
				t.Fatal("there is no such case")
			}
			err := cases[i].run(kit, t.TempDir(), patience)
			if f := (*Failure)(nil); !errors.As(err, &f) {
				t.Fatalf("a store that %s: %v, want a Failure", how, err)
			}
		})
	}
	one := func(b brokenStore, patience time.Duration) {
		kit := fullKit()
		h := &hooked{Store: new(memory.Store)}
		b.break_(h)
		kit.Open = func(string) (store.Store, error) { return h, nil }
		try(b.case_, b.how, kit, patience)
	}
	for _, b := range broken {
		one(b, patience)
	}
	for _, b := range hanging {
		one(b, time.Second/4)
	}
	for _, b := range brokenKits {
		kit := fullKit()
		b.kit(&kit)
		try(b.case_, b.how, kit, patience)
	}
}

func TestEveryCaseCanFail(t *testing.T) {
	fails := map[string]bool{}
	for _, b := range slices.Concat(broken, hanging) {
		fails[b.case_] = true
	}
	for _, b := range brokenKits {
		fails[b.case_] = true
	}
	for _, c := range cases {
		if !fails[c.name] {
			t.Errorf("no broken store shows that the case %q can fail", c.name)
		}
	}
}
