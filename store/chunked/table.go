package chunked

import (
	"context"
	"errors"
	"iter"
	"time"
)

// ErrPresent says that a row is there already that was to be put only if it is absent.
var ErrPresent = errors.New("the row is there already")

// Row is one small value in a table. Group and Item name it; both are of lower-case letters, digits and "/", a
// group has 120 bytes at most and an item 100.
//
// The first byte of a group says what is in it, for a table that keeps these in different ways:
//
//	r/…  the records of one key: a few rows, read together at every hit
//	b/…  the body of one record, in pieces
//	i/…  an index: many rows, all with an empty Value
//	l/…  a lease
//
// The part after it up to the next "/" or the end is the same for the records, the bodies and the lease of one key,
// so that a database that spreads its data may keep these together.
type Row struct {
	Group, Item string
	// Value is at most 4 bytes longer than Options.Chunk; in a group of records it is as long as the response's header
	// and body of 32 KiB or less make it, which may be some MiB. Where that is too long, Put returns an error that
	// wraps store.ErrTooLarge.
	Value []byte
	// Expires is when the database may remove the row by itself, to the millisecond; zero: never. It may be late: a row
	// past it may still be read.
	Expires time.Time
}

// When is a condition on Put.
type When int

const (
	Always    When = iota // in the place of a row with the same name, if there is one
	IfPresent             // only in the place of one; else nothing is put, and the error wraps store.ErrNotFound
	IfAbsent              // only if there is none, or one past its Expires; else nothing is put, and the error wraps ErrPresent
)

// Table is what a database does for a [Store]: four calls on small values. Its methods are safe for concurrent use, and
// each row is read as it was put, whole. A call that returned is seen by every later one, of this process
// at least. Errors say which database failed at what, without a secret.
type Table interface {
	// Put puts one row, if the condition holds; both happen as one. It keeps nothing of r.
	Put(ctx context.Context, r Row, when When) error

	// Get returns the rows of group with these items, or all of them when none is named, in any order and without Group
	// and Expires. One that is absent is left out; that is no error. The values are the caller's.
	Get(ctx context.Context, group string, items ...string) ([]Row, error)

	// Delete removes the rows of group with these items, or all of them when none is named. What is not there is no
	// error. It need not happen as one.
	Delete(ctx context.Context, group string, items ...string) error

	// Groups yields the names of the groups that begin with prefix and have a row, in any order; some perhaps more than
	// once. A fault ends it, and is yielded last. It must neither read nor hold all at once, nor keep others waiting.
	Groups(ctx context.Context, prefix string) iter.Seq2[string, error]
}

// Expirer is a Table whose database does not remove by itself what has expired.
type Expirer interface {
	// Expire removes the rows whose Expires is before now.
	Expire(ctx context.Context, now time.Time) error
}

// Keeper is a Table that can make a whole group last longer by one call. With it the pieces of a body are kept for an
// hour longer than their record, and not for a month, and an Update can move the end of both as far as it likes.
type Keeper interface {
	// Keep sees to it that no row of group expires before expires; the zero time: that none ever does. It shortens
	// nothing. What is not there is no error.
	Keep(ctx context.Context, group string, expires time.Time) error
}

// Evicter is a Table whose database may drop what has not expired, the rows of an index before those of the records
// that it names.
type Evicter interface {
	// Evicts reports whether it may have dropped rows of group, or of other indexes.
	Evicts(ctx context.Context, group string) (bool, error)
}
