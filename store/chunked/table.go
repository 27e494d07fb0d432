package chunked

import (
	"context"
	"errors"
	"iter"
	"time"
)

// ErrPresent says that a row was not put because it is there already: see IfAbsent.
var ErrPresent = errors.New("the row is there already")

// Row is one small value in a table. Group and Item name it. Both consist of lower-case letters, digits and "/"; a
// group has at most 120 bytes, and an item 100.
//
// The first byte of a group says what is in it, for tables that treat these differently:
//
//	r/…  the records of one key: a few rows, read together at every hit
//	b/…  the body of one record, in pieces
//	i/…  an index: many rows, all with an empty Value
//	l/…  a lease
//
// The part between the first "/" and the next, or the end, is the same for the records, the bodies and the lease of one
// key, so that a database that spreads its data can keep these together.
type Row struct {
	Group, Item string
	// Value is at most 4 bytes longer than Options.Chunk. In a group of records it is a response's head, with a body of
	// up to 32 KiB, and may have some MiB. If that is too long for the database, Put must return an error that wraps
	// store.ErrTooLarge.
	Value []byte
	// Expires is when the database may remove the row by itself, to the millisecond; zero: never. It may be late: a row
	// that is past it may still be read.
	Expires time.Time
}

// When is a condition on Put.
type When int

const (
	Always    When = iota // replaces a row with the same name, if there is one
	IfPresent             // only if there is one to replace; else nothing is put, and the error wraps store.ErrNotFound
	IfAbsent              // only if there is none, or one past its Expires; else nothing is put, and the error wraps ErrPresent
)

// Table is what a database does for a [Store]: four calls on small values. Its methods must be safe for concurrent use,
// and each row must be read whole, as it was put. A call must see what every earlier one has done, at least in this
// process. Errors must say which database failed at what, and hold no secrets.
type Table interface {
	// Put puts one row, if the condition holds. Checking and putting must be atomic. It keeps nothing of r.
	Put(ctx context.Context, r Row, when When) error

	// Get returns the rows of group with these items, or all rows if none are named, in any order. They need no Group
	// and Expires. Rows that are not there are left out, without an error. The caller may change the values.
	Get(ctx context.Context, group string, items ...string) ([]Row, error)

	// Delete removes the rows of group with these items, or all rows if none are named. That a row is not there is no
	// error. It need not be atomic.
	Delete(ctx context.Context, group string, items ...string) error

	// Groups yields the names of the groups that begin with prefix and have a row, in any order, and perhaps some more
	// than once. An error is yielded last, and ends it. It must neither read nor hold all at once, nor make other calls
	// wait.
	Groups(ctx context.Context, prefix string) iter.Seq2[string, error]
}

// Expirer is a Table whose database does not itself remove what has expired.
type Expirer interface {
	// Expire removes the rows whose Expires is before now.
	Expire(ctx context.Context, now time.Time) error
}

// Keeper is a Table that can make a whole group last longer with one call. With it the pieces of a body are kept an
// hour longer than their record, not a month, and an Update can move the end of both as far as it likes.
type Keeper interface {
	// Keep makes all rows of group last until expires at least; the zero time: forever. It shortens nothing. That there
	// are none is no error.
	Keep(ctx context.Context, group string, expires time.Time) error
}

// Evicter is a Table whose database may drop what has not expired, and rows of an index before the records that they
// name.
type Evicter interface {
	// Evicts reports whether the database may have dropped rows of group, or of other indexes.
	Evicts(ctx context.Context, group string) (bool, error)
}
