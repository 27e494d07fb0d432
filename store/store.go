// Package store is the contract between larder and the places where it keeps responses.
//
// A [Store] holds [Record]s: the head of one response each, found by [Key], with the body inside when it is
// small and behind [Store.Open] when it is not. larder decides what is fresh, what matches and what must go;
// a store keeps bytes, whole or not at all. The proof of the contract is package storetest: a store that passes
// it works with larder.
//
// A store that can do more than Store asks has the methods of some of the optional interfaces [Finder], [Sweeper],
// [Sizer], [Leaser], [Local] and [Fronted]: see [As].
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
	// ErrTooLarge says that the body, or the head, is larger than this store takes. It is no fault of the store.
	ErrTooLarge = errors.New("larger than the store takes")
	// ErrCorrupt says that stored bytes are not what was written: torn, altered, or of an unknown format.
	ErrCorrupt = errors.New("stored bytes are damaged")
)

// Store keeps records. Its methods are safe for concurrent use, also by several processes where the store's
// own documentation says so.
type Store interface {
	// Lookup returns every record stored under key that can be read, newest [ID] first; none is not an
	// error. The records, and all that they point to, are shared and read-only. Damaged records are left out, and
	// removed unless under [Inspect]; then the error wraps ErrCorrupt, and the readable records are returned beside it.
	// Only whole, committed records are ever seen. Lookup does not judge KeepUntil: it may return
	// records past it until they are swept.
	Lookup(ctx context.Context, key Key) ([]*Record, error)

	// Open returns the body of a record that Lookup or Find returned, from its first byte. It is called only
	// for a record with Size > 0 and a nil Body, but must work for every committed one, and goes by r's Key, ID
	// and Size alone. The error wraps ErrNotFound when the body is gone. A reader opened in time reads the whole
	// body, also when the record is deleted or superseded meanwhile; or else Read fails with ErrNotFound or
	// ErrCorrupt. It never reads a byte of another body. The reader is for one goroutine.
	Open(ctx context.Context, r *Record) (io.ReadSeekCloser, error)

	// Create begins to store r. Nothing is visible before Commit. r.Size is the expected length
	// of the body, or -1 when it is not known; it is a hint that may turn out wrong. If the store can tell by it that
	// the body is too large, the error wraps ErrTooLarge. ctx covers the whole write, through Commit; it carries no
	// deadline.
	Create(ctx context.Context, r *Record) (Writer, error)

	// Update replaces the head of the committed record with r's Key and ID: all but its body and Size.
	// It never resurrects: when the record is gone, it changes nothing and returns an error that wraps ErrNotFound.
	// r must not be changed afterwards: the store may keep it.
	Update(ctx context.Context, r *Record) error

	// Delete removes the records with these ids under key, or all of key when none is given. What is not
	// there is no error.
	Delete(ctx context.Context, key Key, ids ...ID) error
}

// Writer takes the body of one record. Write, Commit and Close are called by one goroutine at a time; ReadAt
// by any number of others meanwhile.
type Writer interface {
	// Write appends to the body. After an error the record can only be closed. It keeps nothing of p.
	io.Writer
	// ReadAt reads back what has been written so far (io.EOF at that point), until Close, so after Commit too.
	io.ReaderAt
	// Commit makes r visible, with the body written so far, and then removes the superseded records of the same
	// key; both happen as one where the store can do that, and never the removal alone. r has the Key and ID
	// given to Create; every other field may have changed, and r.Size is the number of bytes written (an error
	// otherwise). r must not be changed afterwards: the store may keep it.
	Commit(r *Record, superseded ...ID) error
	// Close ends the write and the reading back. What was not committed is discarded. It may be called at any time,
	// and again.
	Close() error
}

// Finder is a store that can list what it holds.
type Finder interface {
	// Find yields the records for which q.Match is true, in no promised order, each at most once and without
	// its Body, and stops after q.Limit if that is positive. Records stored or removed meanwhile, and by URL or Tag
	// those past KeepUntil, may or may not be seen. Damage to a single record is yielded in its place, as an error that
	// wraps ErrCorrupt, and the listing goes on. Any other error is yielded last.
	Find(ctx context.Context, q Query) iter.Seq2[*Record, error]
}

// Sweeper is a store that needs somebody to remove what has ended.
type Sweeper interface {
	// Sweep removes records whose KeepUntil is before now, remains of writes that were never committed, and, if
	// the store has a limit that is exceeded, the least recently used records. It may also remove one whose KeepUntil
	// was before now until an Update meanwhile. It returns how many records it removed. It may be called at any time,
	// also by several processes at once, and gives way to requests.
	Sweep(ctx context.Context, now time.Time) (removed int, err error)
}

// Sizer is a store that knows how much it holds.
type Sizer interface {
	// Size returns the number of committed records and the bytes they take: bodies, heads and what the store
	// counts on top.
	Size(ctx context.Context) (records int, bytes int64, err error)
}

// Leaser is a store by which several processes agree which of them asks the origin. A lease is advice: an error about
// who holds it costs a request, never an answer.
type Leaser interface {
	// Lease takes the lease on key for holder, or renews it, so that it lasts for ttl from now. It returns false if
	// another holds it. A lease with more time left than both ttl and LongLease was made by a clock that was ahead:
	// nobody holds it.
	Lease(ctx context.Context, key Key, holder ID, ttl time.Duration) (held bool, err error)
	// Release ends the lease if holder holds it; else it does nothing.
	Release(ctx context.Context, key Key, holder ID) error
}

// LongLease is longer than any lease needs to last: see Leaser.
const LongLease = time.Hour

// Local is a store whose calls stay on this machine and return soon by themselves, so that larder need not set
// a timer for each.
type Local interface {
	Local()
}

// Fronted is a store that can answer some lookups from memory, though the rest of it may be far away. larder sets no
// timer for Near, and calls it also while it leaves a failing store alone.
type Fronted interface {
	// Near returns the records under key, newest first, if it has them at hand. If it returns none, Lookup is to be
	// called.
	Near(ctx context.Context, key Key) []*Record
}
