package redis

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/chunked"
)

// table is a chunked.Table: a group is a hash, or a sorted set if it is an index. See the package comment.
type table struct {
	conn   Conn
	prefix string // of all keys, with the colon
	near   *near  // nil: records are always asked for
}

var _ interface {
	chunked.Keeper
	chunked.Evicter
} = (*table)(nil)

// page is how many names a SCAN, and how many entries a ZSCAN, looks at in one go.
const page = "1000"

// Put is described at chunked.Table.
func (t *table) Put(ctx context.Context, r chunked.Row, when chunked.When) error {
	script, until := putRow, millis(r.Expires)
	args := []string{r.Item, fmt.Sprint(until)}
	if isIndex(r.Group) {
		script = putMark
	} else {
		args = append(args, seal(until, r.Value))
	}
	key := t.key(r.Group)
	defer t.near.forget(key)
	done, err := t.run(ctx, script, when == chunked.IfAbsent, key, append(args, conditions[when])...)
	switch {
	case err != nil:
	case done != int64(0):
		return nil
	case when == chunked.IfPresent:
		err = store.ErrNotFound
	default:
		err = chunked.ErrPresent
	}
	return t.fault("put", err)
}

// Get is described at chunked.Table.
func (t *table) Get(ctx context.Context, group string, items ...string) ([]chunked.Row, error) {
	var rows []chunked.Row
	var err error
	switch key := t.key(group); {
	case isIndex(group) && len(items) > 0:
		rows, err = t.marked(ctx, key, items)
	case isIndex(group):
		rows, err = t.marks(ctx, key)
	case len(items) > 0:
		rows, err = t.some(ctx, key, items)
	case t.near != nil && strings.HasPrefix(group, "r/"):
		rows, err = t.near.get(key, func() ([]chunked.Row, error) { return t.all(ctx, key) })
	default:
		rows, err = t.all(ctx, key)
	}
	return rows, t.fault("get", err)
}

var hgetall = []string{"HGETALL"}

// hasher is a Conn that reads a hash without making a list of the answer first: that is all that a hit does.
type hasher interface {
	// hash returns the rows under key.
	hash(ctx context.Context, key string) ([]chunked.Row, error)
}

// all returns the rows of a hash.
func (t *table) all(ctx context.Context, key string) ([]chunked.Row, error) {
	if c, ok := t.conn.(hasher); ok {
		return c.hash(ctx, key)
	}
	return hashRows(t.conn.Do(ctx, Command{Name: hgetall, Key: key, Read: true}))
}

// hashRows returns the rows of a hash that is a list of keys and values in turn.
func hashRows(answer any, err error) ([]chunked.Row, error) {
	fields, err := elements(answer, err)
	rows := make([]chunked.Row, len(fields)/2)
	for i := range rows {
		rows[i].Item, rows[i].Value = text(fields[2*i]), unseal(fields[2*i+1])
	}
	return rows, err
}

// some returns rows of a hash.
func (t *table) some(ctx context.Context, key string, items []string) ([]chunked.Row, error) {
	values, err := elements(t.conn.Do(ctx, Command{Name: []string{"HMGET"}, Key: key, Args: items, Read: true}))
	rows := make([]chunked.Row, 0, len(values))
	for i, v := range values {
		if v != nil && i < len(items) {
			rows = append(rows, chunked.Row{Item: items[i], Value: unseal(v)})
		}
	}
	return rows, err
}

// marks returns the rows of a sorted set, page by page.
func (t *table) marks(ctx context.Context, key string) ([]chunked.Row, error) {
	var items []string
	for cursor := "0"; ; {
		answer, err := elements(t.conn.Do(ctx, Command{Name: []string{"ZSCAN"}, Key: key, Args: []string{cursor, "COUNT", page}, Read: true}))
		if err != nil || len(answer) != 2 {
			return nil, err
		}
		pairs, err := elements(answer[1], nil)
		if err != nil {
			return nil, err
		}
		for i := 0; i < len(pairs); i += 2 {
			items = append(items, text(pairs[i]))
		}
		if cursor = text(answer[0]); cursor == "0" {
			break
		}
	}
	slices.Sort(items)
	var rows []chunked.Row
	for _, item := range slices.Compact(items) { // a set that grows may show an entry twice
		rows = append(rows, chunked.Row{Item: item})
	}
	return rows, nil
}

// marked returns rows of a sorted set.
func (t *table) marked(ctx context.Context, key string, items []string) ([]chunked.Row, error) {
	scores, err := elements(t.conn.Do(ctx, Command{Name: []string{"ZMSCORE"}, Key: key, Args: items, Read: true}))
	var rows []chunked.Row
	for i, score := range scores {
		if score != nil && i < len(items) {
			rows = append(rows, chunked.Row{Item: items[i]})
		}
	}
	return rows, err
}

// Delete is described at chunked.Table.
func (t *table) Delete(ctx context.Context, group string, items ...string) error {
	key := t.key(group)
	defer t.near.forget(key)
	var err error
	switch {
	case len(items) == 0:
		_, err = t.conn.Do(ctx, Command{Name: []string{"UNLINK"}, Key: key})
	case isIndex(group):
		_, err = t.run(ctx, dropMark, false, key, items...)
	default: // a lease may be another's by the second time
		_, err = t.run(ctx, dropRow, isLease(group), key, items...)
	}
	return t.fault("delete", err)
}

// Keep is described at chunked.Keeper.
func (t *table) Keep(ctx context.Context, group string, expires time.Time) error {
	c := Command{Name: []string{"PERSIST"}, Key: t.key(group)}
	if !expires.IsZero() {
		c.Name, c.Args = []string{"PEXPIREAT"}, []string{fmt.Sprint(millis(expires)), "GT"} // a key without expiry gets none
	}
	_, err := t.conn.Do(ctx, c)
	return t.fault("keep", err)
}

// Evicts is described at chunked.Evicter.
func (t *table) Evicts(ctx context.Context, group string) (bool, error) {
	v, err := t.run(ctx, evicts, false, t.key(group))
	return v != int64(0), t.fault("ask whether it evicts", err)
}

// Groups is described at chunked.Table.
func (t *table) Groups(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		masters, err := t.conn.Masters(ctx)
		for i := 0; err == nil && i < len(masters); i++ {
			var more bool
			if more, err = t.scan(ctx, masters[i], prefix, yield); !more && err == nil {
				return
			}
		}
		if err != nil {
			yield("", t.fault("scan", err))
		}
	}
}

// scan yields the groups of one server, until yield returns false.
func (t *table) scan(ctx context.Context, server Conn, prefix string, yield func(string, error) bool) (more bool, err error) {
	for cursor := "0"; ; {
		answer, err := elements(server.Do(ctx, Command{Name: []string{"SCAN", cursor, "MATCH", t.pattern(prefix), "COUNT", page}, Read: true}))
		if err != nil || len(answer) != 2 {
			return false, err
		}
		keys, err := elements(answer[1], nil)
		if err != nil {
			return false, err
		}
		for _, key := range keys {
			group, ours := t.group(text(key))
			if ours && strings.HasPrefix(group, prefix) && !yield(group, nil) {
				return false, nil
			}
		}
		if cursor = text(answer[0]); cursor == "0" {
			return true, nil
		}
	}
}

// millis returns t in milliseconds, as the database has it; 0: never.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return min(max(t.UnixMilli(), 1), 1e15-1)
}

// digits is how many digits the expiry has with which a row's value begins.
const digits = 15

func seal(until int64, value []byte) string {
	var b strings.Builder
	b.Grow(digits + len(value))
	fmt.Fprintf(&b, "%0*d", digits, until)
	b.Write(value)
	return b.String()
}

func unseal(v any) []byte {
	b, ok := v.([]byte)
	if !ok {
		b = []byte(text(v))
	}
	return b[min(digits, len(b)):]
}

// text returns a string in an answer.
func text(v any) string {
	if b, ok := v.([]byte); ok {
		return string(b)
	}
	s, _ := v.(string)
	return s
}

// elements returns the elements of an answer that must be a list.
func elements(v any, err error) ([]any, error) {
	if err != nil {
		return nil, err
	}
	l, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("the server answered with %T instead of a list", v)
	}
	return l, nil
}
