package sqlite

import (
	"context"
	"sync"
	"time"

	"github.com/larder-go/larder/store"
)

const (
	touchesMax   = 8192
	touchesEvery = time.Minute
)

// touches remembers which keys were used when, until that is written down.
type touches struct {
	mu   sync.Mutex
	keys map[store.Key]int64 // Unix milliseconds
	due  int64               // until then add returns false, however many there are
}

// touch says when a key was used last, in Unix milliseconds.
type touch struct {
	key store.Key
	at  int64
}

// add remembers that key was used now, unless it is new and there are touchesMax already. It reports whether it is time
// to write all down: there are so many, and touchesEvery has passed since it last said so.
func (t *touches) add(key store.Key) (full bool) {
	now := time.Now().UnixMilli()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.keys == nil {
		t.keys = make(map[store.Key]int64)
	}
	if _, there := t.keys[key]; there || len(t.keys) < touchesMax {
		t.keys[key] = now
	}
	if len(t.keys) < touchesMax || now < t.due {
		return false
	}
	t.due = now + touchesEvery.Milliseconds()
	return true
}

// at returns when key was used; 0 if that is not known, or written down.
func (t *touches) at(key store.Key) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.keys[key]
}

func (t *touches) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.keys)
}

// take forgets up to n of them.
func (t *touches) take(n int) []touch {
	t.mu.Lock()
	defer t.mu.Unlock()
	taken := make([]touch, 0, min(n, len(t.keys)))
	for key, at := range t.keys {
		if len(taken) == n {
			break
		}
		taken = append(taken, touch{key, at})
		delete(t.keys, key)
	}
	return taken
}

// flushTouches writes down when the touched records were used, as many as there are at its start. What fails is lost.
func (s *Store) flushTouches(ctx context.Context) error {
	for left := s.touched.len(); left > 0; left -= rowsAtOnce {
		var taken []touch
		err := s.write(ctx, func(c *conn) error {
			if taken == nil {
				taken = s.touched.take(rowsAtOnce)
			}
			return c.transaction(func() error { return c.touch(taken) })
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *conn) touch(touched []touch) error {
	for _, t := range touched {
		if _, err := c.exec(`UPDATE entries SET last_used = ? WHERE key = ? AND coalesce(last_used, n / 1000) < ?`, t.at, []byte(t.key), t.at); err != nil {
			return err
		}
	}
	return nil
}
