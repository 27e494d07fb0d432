package storetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/larder-go/larder/store"
)

// Ways to break a store.

// put stores r with body straight away.
func put(h *hooked, r *store.Record, body string) error {
	ctx := context.Background()
	r = r.Clone()
	r.Size = int64(len(body))
	w, err := h.Store.Create(ctx, r)
	if err != nil {
		return err
	}
	defer w.Close()
	io.WriteString(w, body)
	return w.Commit(r)
}

// wrap lets change replace methods of a new writer.
func wrap(h *hooked, ctx context.Context, r *store.Record, change func(*hookedWriter)) (store.Writer, error) {
	w, err := h.Store.Create(ctx, r)
	if err != nil {
		return nil, err
	}
	hw := &hookedWriter{Writer: w}
	change(hw)
	return hw, nil
}

func onWriter(change func(*hookedWriter)) func(*hooked) {
	return func(h *hooked) {
		h.create = func(ctx context.Context, r *store.Record) (store.Writer, error) { return wrap(h, ctx, r, change) }
	}
}

func onCommit(change func(*store.Record)) func(*hooked) {
	return onWriter(func(w *hookedWriter) {
		w.commit = func(r *store.Record, superseded ...store.ID) error {
			r = r.Clone()
			r.Header = r.Header.Clone()
			r.Selecting = r.Selecting.Clone()
			change(r)
			return w.Writer.Commit(r, superseded...)
		}
	})
}

func onLookup(change func([]*store.Record) []*store.Record) func(*hooked) {
	return func(h *hooked) {
		h.lookup = func(ctx context.Context, key store.Key) ([]*store.Record, error) {
			found, err := h.Store.Lookup(ctx, key)
			if len(found) > 0 {
				found = change(slices.Clone(found))
			}
			return found, err
		}
	}
}

func onReader(change func(io.ReadSeekCloser) io.ReadSeekCloser) func(*hooked) {
	return func(h *hooked) {
		h.open = func(ctx context.Context, r *store.Record) (io.ReadSeekCloser, error) {
			b, err := h.Store.Open(ctx, r)
			if err != nil {
				return nil, err
			}
			return change(b), nil
		}
	}
}

// onKey stores records under another key than their own.
func onKey(change func(string) string) func(*hooked) {
	return func(h *hooked) {
		named := func(key store.Key) store.Key { return store.Key("k" + change(string(key))) }
		h.lookup = func(ctx context.Context, key store.Key) ([]*store.Record, error) {
			found, err := h.Store.Lookup(ctx, named(key))
			found = slices.Clone(found)
			for i, r := range found {
				found[i] = r.Clone()
				found[i].Key = key
			}
			return found, err
		}
		h.open = func(ctx context.Context, r *store.Record) (io.ReadSeekCloser, error) {
			r = r.Clone()
			r.Key = named(r.Key)
			return h.Store.Open(ctx, r)
		}
		h.create = func(ctx context.Context, r *store.Record) (store.Writer, error) {
			r = r.Clone()
			r.Key = named(r.Key)
			return h.Store.Create(ctx, r)
		}
		h.delete_ = func(ctx context.Context, key store.Key, ids ...store.ID) error {
			return h.Store.Delete(ctx, named(key), ids...)
		}
	}
}

func onFind(yields func(*hooked, *store.Record) bool) func(*hooked) {
	return func(h *hooked) {
		h.find = func(ctx context.Context, q store.Query) iter.Seq2[*store.Record, error] {
			q.Filter = and(q.Filter, func(r *store.Record) bool { return yields(h, r) })
			return h.Store.Find(ctx, q)
		}
	}
}

func onQuery(change func(*store.Query)) func(*hooked) {
	return func(h *hooked) {
		h.find = func(ctx context.Context, q store.Query) iter.Seq2[*store.Record, error] {
			change(&q)
			return h.Store.Find(ctx, q)
		}
	}
}

func onSweep(goes func(*store.Record, time.Time) bool) func(*hooked) {
	return func(h *hooked) {
		h.sweep = func(ctx context.Context, now time.Time) (n int, err error) {
			for r := range h.Store.Find(ctx, store.Query{}) {
				if goes(r, now) {
					h.Store.Delete(ctx, r.Key, r.ID)
					n++
				}
			}
			return n, nil
		}
	}
}

func and(f, g func(*store.Record) bool) func(*store.Record) bool {
	return func(r *store.Record) bool { return (f == nil || f(r)) && g(r) }
}

func removeFirst(h *hooked) {
	onWriter(func(w *hookedWriter) {
		w.commit = func(r *store.Record, superseded ...store.ID) error {
			if len(superseded) > 0 {
				h.Store.Delete(context.Background(), r.Key, superseded...)
				for range 10 {
					runtime.Gosched()
				}
			}
			return w.Writer.Commit(r)
		}
	})(h)
}

func resurrect(h *hooked) {
	h.update = func(ctx context.Context, r *store.Record) error {
		if err := h.Store.Update(ctx, r); err != nil {
			put(h, r, "resurrected")
			return err
		}
		return nil
	}
}

func sweepWrites(h *hooked) {
	var writing []store.Writer
	h.create = func(ctx context.Context, r *store.Record) (store.Writer, error) {
		w, err := h.Store.Create(ctx, r)
		writing = append(writing, w)
		return w, err
	}
	h.sweep = func(ctx context.Context, now time.Time) (int, error) {
		for _, w := range writing {
			w.Close()
		}
		return h.Store.Sweep(ctx, now)
	}
}

// oneBuffer passes what is written through a buffer that all writers share. It is locked while it is filled, and while
// it is emptied, but not in between.
func oneBuffer(h *hooked) {
	var mu sync.Mutex
	var buf []byte
	onWriter(func(w *hookedWriter) {
		w.write = func(p []byte) (int, error) {
			mu.Lock()
			buf = append(buf[:0], p...)
			mu.Unlock()
			runtime.Gosched()
			mu.Lock()
			defer mu.Unlock()
			q := append(bytes.Clone(buf), make([]byte, len(p))...)[:len(p)]
			return w.Writer.Write(q)
		}
	})(h)
}

type startSeeker struct{ io.ReadSeekCloser }

func (s startSeeker) Seek(off int64, _ int) (int64, error) {
	return s.ReadSeekCloser.Seek(off, io.SeekStart)
}

// newest is a reader of whatever body of the key is the newest.
type newest struct {
	h   *hooked
	key store.Key
	off int64
}

func (n *newest) Read(p []byte) (int, error) {
	found, _ := n.h.Store.Lookup(context.Background(), n.key)
	if len(found) == 0 {
		return 0, store.ErrNotFound
	}
	b, err := n.h.Store.Open(context.Background(), found[0])
	if err != nil {
		return 0, err
	}
	b.Seek(n.off, io.SeekStart)
	m, err := b.Read(p)
	n.off += int64(m)
	return m, err
}

func (n *newest) Seek(int64, int) (int64, error) { return 0, errBroken }
func (n *newest) Close() error                   { return nil }

// mortal is a reader that notices when its record is gone, and says so in its own words.
type mortal struct {
	io.ReadSeekCloser
	h *hooked
	r *store.Record
}

func (m mortal) Read(p []byte) (int, error) {
	if _, err := m.h.Store.Open(context.Background(), m.r); err != nil {
		return 0, fmt.Errorf("no such body: %s", m.r.ID)
	}
	return m.ReadSeekCloser.Read(p)
}
