package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	driver "modernc.org/sqlite"

	"github.com/larder-go/larder/store"
)

// Options are the settings of a Store. The zero value, and a nil *Options, mean the defaults.
type Options struct {
	// MaxBytes is how large the database file may become, in bytes, whichever process writes to it; the write-ahead log
	// beside it is not counted. 0: 1 GiB; negative: no limit. The least recently used records go before the file is
	// full. A body is refused with store.ErrTooLarge if it would take nearly all of the file, or more than half if its
	// length is not known beforehand, or if there is no room for it beside bodies that are being written or read.
	MaxBytes int64

	// Readers is how many connections may read at once; each is opened when it is first needed, and like the one
	// that writes it keeps up to 4 MiB of the file in memory, outside Go's heap. 0: GOMAXPROCS, at least 4. New
	// stays within the limit of the *sql.DB that it is given.
	Readers int

	// FailDamaged makes Open fail with an error that wraps store.ErrCorrupt when the file is damaged, instead
	// of setting it aside and beginning anew.
	FailDamaged bool

	// OnRebuild, if set, is called before Open returns when a damaged file was renamed to aside; cause says what was
	// wrong with it.
	OnRebuild func(aside string, cause error)
}

const defaultMaxBytes = 1 << 30

var errClosed = errors.New("the store is closed")

// Store keeps records in one SQLite database. It is safe for concurrent use, and so is the file by several
// stores in one or several processes on the same machine.
type Store struct {
	db    *sql.DB
	owned bool // db is closed with the store
	limit int64

	pageSize int64

	readers *pool // nil: there is only one connection, the writer

	mu        sync.Mutex // the writer's turn
	writer    *conn
	closed    bool
	log       string   // the write-ahead log's file
	writes    int64    // so far
	unchecked int64    // bytes written since the limit was last looked at
	locked    struct { // when a write last failed because another process wrote, and how
		at  time.Time
		err error
	}
	used int64 // the entries with a smaller n have all been used since they were stored

	touched touches
	inUse   inUse
	heads   store.Decoder

	evicting   atomic.Bool
	background sync.WaitGroup
	ctx        context.Context // of the background work; ends with Close
	cancel     context.CancelFunc
	marked     atomic.Bool // the file has been marked as damaged
}

var (
	_ store.Store   = (*Store)(nil)
	_ store.Finder  = (*Store)(nil)
	_ store.Sweeper = (*Store)(nil)
	_ store.Sizer   = (*Store)(nil)
	_ store.Local   = (*Store)(nil)
)

// opening lets one Open of this process work at a time: closing a file drops the locks that other connections of the
// process hold on it (POSIX).
var opening sync.Mutex

// Open opens the database at path with the bundled driver, and creates it (mode 0600) and the folders above it (0700)
// where they are missing. A damaged file is renamed to path.damaged-TIME, and a new one takes its place; a file that
// is something else is left alone and is an error. Close the store when it is no longer needed.
func Open(path string, opts *Options) (*Store, error) {
	if opts == nil {
		opts = new(Options)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("sqlite: open %s: %w", path, err)
	}
	opening.Lock()
	defer opening.Unlock()
	for range 3 {
		if err := prepareFile(path); err != nil {
			return nil, fmt.Errorf("sqlite: open %s: %w", path, err)
		}
		before, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("sqlite: open %s: %w", path, err)
		}
		s, cause := openFile(path, opts)
		if cause == nil {
			return s, nil
		}
		if !errors.Is(cause, store.ErrCorrupt) || opts.FailDamaged {
			return nil, fmt.Errorf("sqlite: open %s: %w", path, cause)
		}
		aside, err := setAside(path, before)
		if err != nil {
			return nil, fmt.Errorf("sqlite: open %s: %w; setting it aside: %w", path, cause, err)
		}
		if aside != "" && opts.OnRebuild != nil {
			opts.OnRebuild(aside, cause)
		}
	}
	return nil, fmt.Errorf("sqlite: open %s: it is found damaged again and again", path)
}

// prepareFile makes the file if it is missing. It does not open one that exists: closing it again would drop the locks
// of this process's other connections.
func prepareFile(path string) error {
	if info, err := os.Stat(path); err == nil {
		switch {
		case info.IsDir():
			return errors.New("it is a folder; give the path of a file")
		case !info.Mode().IsRegular():
			return errors.New("it is not a regular file; give the path of one")
		}
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("its folder cannot be made: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if pathError := (*os.PathError)(nil); errors.As(err, &pathError) {
		return fmt.Errorf("it cannot be made: %w", pathError.Err) // the path is named already
	}
	return f.Close()
}

func openFile(path string, opts *Options) (*Store, error) {
	uri := filepath.ToSlash(path)
	if !strings.HasPrefix(uri, "/") {
		uri = "/" + uri // C:/…
	}
	// Without mode=rw a connection that is opened later would make a file in the place of one that was deleted.
	connector, err := driver.NewConnector((&url.URL{Scheme: "file", Path: uri, RawQuery: "mode=rw"}).String())
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	s, err := open(db, opts)
	if err == nil {
		s.owned = true
		if err = s.writer.writable(); err == nil { // a read-only file can be opened, too
			return s, nil
		}
		s.Close()
	}
	db.Close()
	switch code := resultCode(err); {
	case code == codeNotADB && !looksLikeOurs(path):
		err = errors.New("it is not an SQLite database; remove it or choose another path")
	case code == codeReadOnly || code == codeCantOpen:
		err = fmt.Errorf("it or its folder cannot be written: %w", err)
	}
	return nil, wrapDamage(err)
}

// New uses a database that the caller has opened with any SQLite driver, and that holds nothing but the store.
// The store takes up to Readers + 1 connections of db for itself, or the only one if it has but one, and sets
// their pragmas. Close gives them back; db stays the caller's. A damaged database is an error that wraps
// store.ErrCorrupt.
func New(db *sql.DB, opts *Options) (*Store, error) {
	if opts == nil {
		opts = new(Options)
	}
	s, err := open(db, opts)
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	return s, nil
}

func open(db *sql.DB, opts *Options) (*Store, error) {
	s := &Store{db: db, limit: opts.MaxBytes}
	switch {
	case s.limit == 0:
		s.limit = defaultMaxBytes
	case s.limit < 0:
		s.limit = math.MaxInt64
	}
	readers := opts.Readers
	if readers <= 0 {
		readers = max(4, runtime.GOMAXPROCS(0))
	}
	if most := db.Stats().MaxOpenConnections; most > 0 {
		readers = min(readers, most-1)
	}
	writer, err := s.connect()
	if err != nil {
		return nil, err
	}
	if err := writer.migrate(); err != nil {
		writer.close()
		return nil, wrapDamage(err)
	}
	s.writer = writer
	err = writer.row(`SELECT file || '-wal', page_size FROM pragma_database_list, pragma_page_size WHERE name = 'main'`, nil, []any{&s.log, &s.pageSize})
	if err == nil {
		err = s.bound(writer, s.full())
	}
	if err != nil {
		writer.close()
		return nil, err
	}
	if readers > 0 {
		s.readers = newPool(readers, s.connect)
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Local marks the Store as a store.Local: a read waits for nobody, and a write only for the writers before it.
func (s *Store) Local() {}

// Close writes down when records were used, if it can, ends the background work and gives back the connections. Writes
// under way are discarded, and readers of bodies fail from then on.
func (s *Store) Close() error {
	s.cancel() // the background work
	s.flushTouches(background)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.background.Wait()

	var errs []error
	if s.readers != nil {
		errs = append(errs, s.readers.close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	errs = append(errs, s.writer.close())
	if s.owned {
		errs = append(errs, s.db.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("sqlite: close: %w", err)
	}
	return nil
}

// unixMilli returns t as the columns hold it; the zero time, which means never, as NULL.
func unixMilli(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}
