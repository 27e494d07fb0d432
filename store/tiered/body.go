package tiered

import (
	"context"
	"io"

	"github.com/larder-go/larder/store"
)

// writer writes to the back, and to the front as far as that takes it.
type writer struct {
	store.Writer // the back's
	s            *Store
	key          store.Key
	front        store.Writer // nil: the body stays in the back
	written      int64
}

func (w *writer) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	w.written += int64(n)
	if w.front != nil {
		if _, failed := w.front.Write(p[:n]); failed != nil || w.written > w.s.maxBody {
			w.front.Close()
			w.front = nil
		}
	}
	return n, err
}

func (w *writer) Commit(r *store.Record, superseded ...store.ID) error {
	return w.s.change(w.key, change{
		back: func() error { return w.Writer.Commit(r, superseded...) },
		front: func() error {
			if w.front == nil {
				return nil // what is superseded there goes when the back is asked
			}
			return w.front.Commit(r, superseded...)
		},
		ids: func(known []store.ID) []store.ID { return with(without(known, superseded), r.ID) },
	})
}

func (w *writer) Close() error {
	if w.front != nil {
		w.front.Close()
	}
	return w.Writer.Close()
}

// copied is a body of the back that goes into the front when it is read from its first byte to its end.
type copied struct {
	io.ReadSeekCloser
	s *Store
	r *store.Record
	w store.Writer // the front's; nil: the body does not go there, or has gone
}

func (c *copied) Read(p []byte) (int, error) {
	n, err := c.ReadSeekCloser.Read(p)
	if c.w == nil {
		return n, err
	}
	if _, failed := c.w.Write(p[:n]); failed != nil || err != nil {
		if failed == nil && err == io.EOF {
			c.keep()
		}
		c.giveUp()
	}
	return n, err
}

// keep makes the copy visible in the front. The head of c.r may be out of date, so the back must be asked before the
// copy is relied on.
func (c *copied) keep() {
	sh := c.s.shard(c.r.Key)
	sh.mirror.Lock()
	defer sh.mirror.Unlock()
	held, err := c.s.front.Lookup(context.Background(), c.r.Key)
	if err != nil || index(held, c.r.ID) >= 0 { // another reader was quicker
		return
	}
	sh.mu.Lock()
	delete(sh.views, c.r.Key) // before the Commit: see shown
	sh.mu.Unlock()
	c.w.Commit(bare(c.r)) // it fails if the copy is not whole
}

func (c *copied) giveUp() {
	if c.w != nil {
		c.w.Close()
		c.w = nil
	}
}

func (c *copied) Seek(offset int64, whence int) (int64, error) {
	c.giveUp()
	return c.ReadSeekCloser.Seek(offset, whence)
}

func (c *copied) Close() error {
	c.giveUp()
	return c.ReadSeekCloser.Close()
}
