// Package store is the contract between larder and the stores that keep its responses.
//
// A [Store] holds [Record]s, found by [Key]. Each is the head of one response, with the body inside if it is small, and
// else behind [Store.Open]. larder decides what is fresh, what matches and what must go; a store keeps bytes, whole or
// not at all. Package storetest proves the contract: a store that passes it works with larder.
//
// A store that can do more has the methods of some of the optional interfaces [Finder], [Sweeper], [Sizer], [Leaser],
// [Local] and [Fronted]: see [As].
package store

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

var (
	// ErrNotFound says that the record is not there, or not there any more.
	ErrNotFound = errors.New("not in the store")
	// ErrTooLarge says that the body, or the head, is larger than this store takes. The store has not failed.
	ErrTooLarge = errors.New("larger than the store takes")
	// ErrCorrupt says that stored bytes are not what was written: torn, altered, or of an unknown format.
	ErrCorrupt = errors.New("stored bytes are damaged")
)

// Store keeps records. Its methods are safe for concurrent use, and by several processes if the store's documentation
// says so.
type Store interface {
	// Lookup returns every readable record that is stored under key, newest [ID] first; that there are none is not an
	// error. The records, and all that they point to, are shared and read-only. Only whole, committed records are ever
	// seen. Damaged records are left out, and removed unless ctx is from [Inspect]; the error then wraps ErrCorrupt,
	// and the readable records are returned beside it. Lookup ignores KeepUntil: it may return records past it until
	// they are swept.
	Lookup(ctx context.Context, key Key) ([]*Record, error)

	// Open returns the body of a record that Lookup or Find returned, from its first byte. larder calls it only for
	// records with Size > 0 and a nil Body, but it must work for every committed one, and use only the Key, ID and Size
	// of r. The error wraps ErrNotFound if the body is gone. An open reader reads the whole body, even if the record is
	// deleted or superseded meanwhile, or else Read fails with ErrNotFound or ErrCorrupt. It never returns a byte of
	// another body. The reader is for one goroutine.
	Open(ctx context.Context, r *Record) (io.ReadSeekCloser, error)

	// Create begins to store r. Nothing is visible before Commit. r.Size is the expected length of the body, or -1 if
	// it is not known: a hint that may turn out wrong. If it shows that the body is too large, the error wraps
	// ErrTooLarge. ctx holds for the whole write, through Commit; it has no deadline.
	Create(ctx context.Context, r *Record) (Writer, error)

	// Update replaces all but the body and the Size of the committed record with r's Key and ID. It never brings back a
	// record: if that is gone, it changes nothing and returns an error that wraps ErrNotFound. Update does not change r,
	// and the caller must not do so afterwards: the store may keep it.
	Update(ctx context.Context, r *Record) error

	// Delete removes the records with these ids under key, or all under key if none are given. That a record is not
	// there is no error.
	Delete(ctx context.Context, key Key, ids ...ID) error
}

// Writer takes the body of one record. Write, Commit and Close are called by one goroutine at a time, and ReadAt by any
// number of others meanwhile.
type Writer interface {
	// Write appends to the body. It keeps nothing of p. After an error the Writer can only be closed.
	io.Writer
	// ReadAt reads back what has been written so far, with io.EOF at its end. It works until Close, and so after
	// Commit, too.
	io.ReaderAt
	// Commit makes r visible, with the body written so far, and then removes the superseded records of the same key. If
	// the store can, it does both as one; it never does the removal alone. r has the Key and ID given to Create; every
	// other field may have changed. r.Size must be the number of bytes written: anything else is an error. r must not
	// be changed afterwards: the store may keep it.
	Commit(r *Record, superseded ...ID) error
	// Close ends the write, and ReadAt. What was not committed is discarded. It may be called at any time, and again.
	Close() error
}

// Finder is a store that can list what it holds.
type Finder interface {
	// Find yields the records for which q.Match is true, in any order, each at most once and without its Body, and
	// stops after q.Limit if that is positive. Records that are stored or removed meanwhile may or may not be seen; so
	// may those past KeepUntil, if q has a URL or a Tag. Damage to a single record is yielded in its place, as an error
	// that wraps ErrCorrupt, and the listing goes on. Any other error is yielded last.
	Find(ctx context.Context, q Query) iter.Seq2[*Record, error]
}

// Sweeper is a store that must be told to remove records past their KeepUntil.
type Sweeper interface {
	// Sweep removes records whose KeepUntil is before now, remains of writes that were never committed, and, if the
	// store exceeds its limit, the least recently used records. It may also remove a record whose KeepUntil was before
	// now until an Update meanwhile. It returns how many records it removed. It may be called at any time, by several
	// processes at once, too, and gives way to requests.
	Sweep(ctx context.Context, now time.Time) (removed int, err error)
}

// Sizer is a store that knows how much it holds.
type Sizer interface {
	// Size returns the number of committed records and the bytes that they take: bodies, heads, and what the store
	// adds.
	Size(ctx context.Context) (records int, bytes int64, err error)
}

// Leaser is a store through which several processes agree on which of them asks the origin. A lease is advice: a
// mistake about who holds it costs a request, and never gives a wrong answer.
type Leaser interface {
	// Lease takes the lease on key for holder, or renews it, so that it lasts for ttl from now. held is false if
	// another holds it. A lease with more time left than both ttl and LongLease was made by a clock that was ahead, and
	// counts as held by nobody.
	Lease(ctx context.Context, key Key, holder ID, ttl time.Duration) (held bool, err error)
	// Release ends the lease if holder holds it, and otherwise does nothing.
	Release(ctx context.Context, key Key, holder ID) error
}

// LongLease is longer than any lease needs to last: see Leaser.
const LongLease = time.Hour

// Local is a store whose calls stay on this machine and return soon by themselves, so that larder sets no timer for
// each.
type Local interface {
	Local()
}

// Fronted is a store that can answer some lookups from memory, though the rest of it may be far away. larder sets no
// timer for Near, and goes on calling it while it leaves a failing store alone.
type Fronted interface {
	// Near returns the records under key, newest first, if it has them at hand. If it returns none, Lookup must be
	// called.
	Near(ctx context.Context, key Key) []*Record
}
