package disk

import (
	"fmt"
	"time"
)

// grow makes the file long enough for a body of size bytes, and makes the file if it is missing. The file is as long as
// was entered in the ledger, so that every process sees how much it will take. grow is seldom needed, since it makes
// the file longer than what has come: by what is expected, but at most by as much again or 1 MiB, since the rest may
// never come; by a quarter if the length is unknown.
func (w *writer) grow(size int64) error {
	if fileSize(size) <= w.length {
		return nil
	}
	if err := w.fits(max(size, w.expected), w.others()); err != nil {
		return err // before anything is evicted in vain
	}
	ahead := max(2*blockSize, size/4)
	if w.expected >= size {
		ahead = min(w.expected-size, max(1<<20, size))
	}
	err := w.extend(fileSize(size + ahead))
	if err != nil && ahead > 0 {
		err = w.extend(fileSize(size))
	}
	return err
}

// others returns how many bytes the other bodies take that this Store is writing. They cannot be evicted.
func (w *writer) others() (bytes int64) {
	w.store.writing.Range(func(path, in any) bool {
		info, err := in.(place).fan.Lstat(path.(string))
		if err == nil && path != w.place.body(w.id) && time.Since(info.ModTime()) <= pressed {
			bytes += cost(info.Size())
		}
		return true
	})
	return bytes
}

func (w *writer) extend(length int64) error {
	if w.file != nil {
		return w.store.spend(cost(length)-cost(w.length), 0, func() error { return w.setLength(length) })
	}
	return w.store.inFan(w.key, func(p place) error {
		return w.store.spend(cost(length), 0, func() error {
			f, err := create(p.fan, p.body(w.id))
			if err != nil {
				return err
			}
			w.place, w.file = p, f
			if err = w.setLength(length); err != nil {
				f.Close()
				p.fan.Remove(p.body(w.id))
				w.file = nil
			}
			return err
		})
	})
}

// setLength fails if the file is no longer in the directory, since it is counted only there.
func (w *writer) setLength(length int64) error {
	if _, err := w.place.fan.Lstat(w.place.body(w.id)); err != nil {
		return fmt.Errorf("the body was removed while it was written: %w", errGone)
	}
	err := w.file.Truncate(length)
	if err == nil {
		w.length = length
		w.store.writing.Store(w.place.body(w.id), w.place)
	}
	return err
}

// cut shortens a file that is too long.
func (w *writer) cut(length int64) error {
	if length == w.length {
		return nil
	}
	changes.RLock()
	defer changes.RUnlock()
	before := w.length
	err := w.setLength(length)
	if err == nil {
		w.store.usage.add(cost(length)-cost(before), 0)
	}
	return err
}
