package bytestore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/chunked"
)

const (
	prefix   = "larder/"
	parallel = 4  // pieces of one body under way at once
	maxCalls = 64 // under way at once
)

// values are a Conn's values, in which rows are kept.
type values struct {
	conn   Conn
	absent error // what conn's error is where there is no value
}

// get returns a copy of the value, since some stores return the bytes that they hold; nil if there is none.
func (v values) get(key string) ([]byte, error) {
	b, err := v.conn.Get(prefix + key)
	if errors.Is(err, v.absent) {
		return nil, nil
	}
	return bytes.Clone(b), err
}

// set stores a copy of value, since some stores hold the bytes that they are given.
func (v values) set(key string, value []byte) error {
	return v.conn.Set(prefix+key, bytes.Clone(value))
}

func (v values) delete(key string) error {
	if err := v.conn.Delete(prefix + key); err != nil && !errors.Is(err, v.absent) {
		return err
	}
	return nil
}

// table is a chunked.Table without a list. The records of a key are one value, and each piece of a body is one. Nothing
// else is kept: only a table that can be listed needs indexes and writers' signs of life, and there are no leases.
type table struct {
	values values
	calls  chan struct{}    // has an element for each call under way
	locks  [64]sync.RWMutex // by group, since records are read, changed and written back
	seed   maphash.Seed
}

func newTable(v values) *table {
	return &table{values: v, calls: make(chan struct{}, maxCalls), seed: maphash.MakeSeed()}
}

// Put is described at chunked.Table.
func (t *table) Put(ctx context.Context, r chunked.Row, when chunked.When) error {
	return t.call(ctx, "put "+r.Group, func() error {
		switch {
		case isPiece(r.Group, r.Item):
			return t.values.set(r.Group+"/"+r.Item, r.Value)
		case strings.HasPrefix(r.Group, "b/") && when == chunked.IfPresent:
			return t.begun(r.Group)
		case !isRecords(r.Group):
			return nil
		}
		lock := t.lock(r.Group)
		lock.Lock()
		defer lock.Unlock()
		rows, err := t.records(ctx, r.Group)
		if err != nil && !errors.Is(err, store.ErrCorrupt) {
			return err
		}
		i := slices.IndexFunc(rows, func(row chunked.Row) bool { return row.Item == r.Item })
		switch {
		case i < 0 && when == chunked.IfPresent:
			return store.ErrNotFound
		case i < 0:
			rows = append(rows, r)
		default:
			rows[i] = r
		}
		return t.values.set(r.Group, encode(rows))
	})
}

// begun stands for replacing a sign of life, which is not kept: it is taken to be there if the body has a first piece.
func (t *table) begun(group string) error {
	value, err := t.values.get(fmt.Sprintf("%s/%08d", group, 0))
	if err == nil && value == nil {
		err = store.ErrNotFound
	}
	return err
}

// Get is described at chunked.Table. Of a body it returns the pieces that are named.
func (t *table) Get(ctx context.Context, group string, items ...string) ([]chunked.Row, error) {
	found := make([]chunked.Row, 0, len(items))
	err := t.call(ctx, "get "+group, func() error {
		if isRecords(group) {
			lock := t.lock(group)
			lock.RLock()
			defer lock.RUnlock()
			all, err := t.records(ctx, group)
			for _, row := range all {
				if len(items) == 0 || slices.Contains(items, row.Item) {
					found = append(found, row)
				}
			}
			return err
		}
		for _, item := range items {
			if !isPiece(group, item) {
				continue
			}
			value, err := t.values.get(group + "/" + item)
			if err != nil {
				return err
			}
			if value != nil {
				found = append(found, chunked.Row{Item: item, Value: value})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err // not found: a call left behind still appends to it
	}
	return found, nil
}

// Delete is described at chunked.Table.
func (t *table) Delete(ctx context.Context, group string, items ...string) error {
	return t.call(ctx, "delete "+group, func() error {
		switch {
		case strings.HasPrefix(group, "b/"):
			return t.deleteBody(group)
		case !isRecords(group):
			return nil
		}
		lock := t.lock(group)
		lock.Lock()
		defer lock.Unlock()
		if len(items) == 0 {
			return t.values.delete(group)
		}
		rows, err := t.records(ctx, group)
		if err != nil && !errors.Is(err, store.ErrCorrupt) {
			return err
		}
		left := slices.DeleteFunc(rows, func(row chunked.Row) bool { return slices.Contains(items, row.Item) })
		if len(left) == 0 {
			return t.values.delete(group)
		}
		return t.values.set(group, encode(left))
	})
}

// deleteBody removes pieces from the first on. It looks past missing ones: an interrupted write may have left out as
// many as are written at once.
func (t *table) deleteBody(group string) error {
	for number, missing := 0, 0; missing <= parallel; number++ {
		key := fmt.Sprintf("%s/%08d", group, number)
		value, err := t.values.get(key)
		if err == nil && value != nil {
			err, missing = t.values.delete(key), 0
		} else {
			missing++
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// errNoList says that these stores cannot list what they hold.
var errNoList = errors.New("bytestore: the store cannot list what it holds")

// Groups is described at chunked.Table. It is never called, since Store has no method that lists.
func (t *table) Groups(context.Context, string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) { yield("", errNoList) }
}

// records returns the rows of a group of records. A value that is damaged is removed.
func (t *table) records(ctx context.Context, group string) ([]chunked.Row, error) {
	value, err := t.values.get(group)
	if err != nil || value == nil {
		return nil, err
	}
	rows, ok := decode(value)
	if !ok {
		err := fmt.Errorf("the value of %d bytes is not a list of records: %w", len(value), store.ErrCorrupt)
		if !store.Inspecting(ctx) {
			err = errors.Join(err, t.values.delete(group))
		}
		return nil, err
	}
	return rows, nil
}

// call calls do. If ctx ends before, it returns and leaves do to itself.
func (t *table) call(ctx context.Context, what string, do func() error) error {
	select {
	case t.calls <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", what, context.Cause(ctx))
	}
	if err := ctx.Err(); err != nil {
		<-t.calls
		return fmt.Errorf("%s: %w", what, err)
	}
	ended := make(chan error, 1)
	go func() {
		defer func() { <-t.calls }()
		ended <- do()
	}()
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func (t *table) lock(group string) *sync.RWMutex {
	return &t.locks[maphash.String(t.seed, group)%uint64(len(t.locks))]
}

func isRecords(group string) bool { return strings.HasPrefix(group, "r/") }

// isPiece tells the pieces of a body from the signs of life of its writer.
func isPiece(group, item string) bool {
	return strings.HasPrefix(group, "b/") && item[0] >= '0' && item[0] <= '9'
}

// encode writes rows as the package comment says.
func encode(rows []chunked.Row) []byte {
	size := 0
	for _, r := range rows {
		size += 1 + len(r.Item) + binary.MaxVarintLen64 + len(r.Value)
	}
	b := make([]byte, 0, size)
	for _, r := range rows {
		b = append(append(b, byte(len(r.Item))), r.Item...)
		b = append(binary.AppendUvarint(b, uint64(len(r.Value))), r.Value...)
	}
	return b
}

// decode is the inverse of encode. The rows' values are parts of b.
func decode(b []byte) (rows []chunked.Row, ok bool) {
	for len(b) > 0 {
		n := int(b[0])
		if b = b[1:]; n == 0 || n > len(b) {
			return nil, false
		}
		item := string(b[:n])
		b = b[n:]
		size, k := binary.Uvarint(b)
		if k <= 0 || size > uint64(len(b)-k) {
			return nil, false
		}
		end := k + int(size)
		rows = append(rows, chunked.Row{Item: item, Value: b[k:end:end]})
		b = b[end:]
	}
	return rows, true
}
