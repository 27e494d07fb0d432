package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// background is the context of every statement. For one that can be cancelled, drivers start a goroutine with each
// statement, and statements end soon by themselves. Callers look at their own context first.
var background = context.Background()

// conn is one connection, kept for as long as the store is open, with the statements it has prepared. It is for
// one goroutine at a time.
type conn struct {
	sql        *sql.Conn
	stmts      map[string]*sql.Stmt
	selections map[*selection]*sql.Stmt
	head       []byte // scratch for an encoded head
	stored     int64  // n of the entry that it stored last

	number int64     // for larder_row; 0: the driver does not know it
	see    func(row) // while each runs
}

const busyTimeout = "busy_timeout = 5000"

// connect opens a connection and makes the settings that are its own, not the file's.
func (s *Store) connect() (*conn, error) {
	sc, err := s.db.Conn(background)
	if err != nil {
		return nil, wrapDamage(err)
	}
	c := &conn{sql: sc, stmts: make(map[string]*sql.Stmt), selections: make(map[*selection]*sql.Stmt)}
	err = c.pragmas(
		busyTimeout,
		"synchronous = NORMAL",
		fmt.Sprintf("cache_size = -%d", cacheKiB),
		fmt.Sprintf("journal_size_limit = %d", walBytes),
		"trusted_schema = OFF", // no view or trigger in the file may call larder_row
	)
	if err != nil {
		sc.Close()
		return nil, err
	}
	c.knowRows()
	return c, nil
}

func (c *conn) pragmas(settings ...string) error {
	for _, s := range settings {
		if _, err := c.sql.ExecContext(background, "PRAGMA "+s); err != nil {
			return doing("PRAGMA "+s, err)
		}
	}
	return nil
}

func (c *conn) stmt(query string) (*sql.Stmt, error) {
	if st := c.stmts[query]; st != nil {
		return st, nil
	}
	st, err := c.sql.PrepareContext(background, query)
	if err != nil {
		return nil, err
	}
	c.stmts[query] = st
	return st, nil
}

func (c *conn) query(query string, args ...any) (*sql.Rows, error) {
	st, err := c.stmt(query)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(background, args...)
}

// collect returns what scan makes of each row of a query.
func collect[T any](c *conn, scan func(*sql.Rows) (T, error), query string, args ...any) (all []T, err error) {
	rows, err := c.query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

// row scans the only row of a query; sql.ErrNoRows if there is none.
func (c *conn) row(query string, args, dest []any) error {
	st, err := c.stmt(query)
	if err != nil {
		return err
	}
	return st.QueryRowContext(background, args...).Scan(dest...)
}

// exec runs a statement and returns how many rows it changed.
func (c *conn) exec(query string, args ...any) (int64, error) {
	st, err := c.stmt(query)
	if err != nil {
		return 0, err
	}
	res, err := st.ExecContext(background, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// transaction runs f between BEGIN IMMEDIATE and COMMIT. A deferred transaction that reads before it writes
// fails as soon as another process has written in between, whatever the busy_timeout.
func (c *conn) transaction(f func() error) error {
	if _, err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err := f()
	if err == nil {
		_, err = c.exec("COMMIT")
	}
	if err != nil {
		c.exec("ROLLBACK") // fails when SQLite has rolled back by itself
	}
	return err
}

// writable returns why the file cannot be written. That somebody else is writing, for however long, is no reason.
func (c *conn) writable() error {
	c.pragmas("busy_timeout = 0")
	_, err := c.exec(`DELETE FROM loose WHERE false`)
	c.pragmas(busyTimeout)
	if resultCode(err) == codeBusy {
		return nil
	}
	return err
}

func (c *conn) close() error {
	c.forgetRows()
	for _, st := range c.stmts {
		st.Close()
	}
	for _, st := range c.selections {
		st.Close()
	}
	return c.sql.Close()
}

// write runs f with the writing connection when it is its turn, and again after it had to make room for it: so f must
// do all or nothing. If a write that was before it in the queue has waited for another process in vain, it fails with
// that one's error: else all in the queue would wait as long, one after the other.
func (s *Store) write(ctx context.Context, f func(*conn) error) error {
	begun := time.Now()
	return s.turn(ctx, func(c *conn) error {
		if begun.Before(s.locked.at) {
			return s.locked.err
		}
		err := s.retry(c, f)
		if resultCode(err) == codeBusy {
			s.locked.at, s.locked.err = time.Now(), err
		}
		if s.writes++; s.writes%lookEvery == 0 && s.logIsLong() {
			c.restartLog(100 * time.Millisecond)
		}
		return err
	})
}

// turn runs f with the writing connection when it is its turn.
func (s *Store) turn(ctx context.Context, f func(*conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	return s.noteDamage(f(s.writer))
}

// lookEvery is how many writes go by between two looks at the length of the log.
const lookEvery = 64

func (s *Store) logIsLong() bool {
	info, err := os.Stat(s.log)
	return err == nil && info.Size() > walBytes
}

// restartLog makes the next write begin the log anew. By itself, SQLite does so only at a moment at which nobody reads,
// which may never come under many readers. This waits for those who read now; those who come meanwhile read from the
// file.
func (c *conn) restartLog(wait time.Duration) {
	c.pragmas(fmt.Sprintf("busy_timeout = %d", wait.Milliseconds()))
	c.drain("PRAGMA wal_checkpoint(RESTART)") // what fails is tried again later
	c.pragmas(busyTimeout)
}

// read runs f with a reading connection or, if none can be opened, with the writing one: for example without free file
// descriptors, or after the file was deleted.
func (s *Store) read(ctx context.Context, f func(*conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.readers == nil {
		return s.turn(ctx, f)
	}
	c, err := s.readers.get(ctx)
	if err != nil && (ctx.Err() != nil || errors.Is(err, errClosed)) {
		return err
	}
	if err != nil {
		return s.turn(ctx, f)
	}
	err = f(c)
	s.readers.put(c)
	if err = wrapDamage(err); errors.Is(err, errDamaged) {
		s.turn(background, func(*conn) error { return err }) // to mark the file
	}
	return err
}

// readSoon is read for an f of a few microseconds. It takes the writing connection if that is free: its cache has what
// this process wrote, whereas each commit empties those of the readers. So the lookup before a store takes 6 µs, not 14
// (go test -bench LookupMiss).
func (s *Store) readSoon(ctx context.Context, f func(*conn) error) error {
	if ctx.Err() != nil || !s.mu.TryLock() {
		return s.read(ctx, f)
	}
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	return s.noteDamage(f(s.writer))
}

// pool hands out reading connections, the most recently used first, and opens one when none is free.
type pool struct {
	open  func() (*conn, error)
	slots chan struct{}

	mu     sync.Mutex
	free   []*conn
	closed bool
}

func newPool(n int, open func() (*conn, error)) *pool {
	return &pool{open: open, slots: make(chan struct{}, n)}
}

func (p *pool) get(ctx context.Context) (*conn, error) {
	select {
	case p.slots <- struct{}{}:
	default:
		select {
		case p.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	p.mu.Lock()
	closed := p.closed
	var c *conn
	if n := len(p.free); n > 0 && !closed {
		c, p.free = p.free[n-1], p.free[:n-1]
	}
	p.mu.Unlock()
	var err error
	if closed {
		err = errClosed
	} else if c == nil {
		c, err = p.open()
	}
	if err != nil {
		<-p.slots
		return nil, err
	}
	return c, nil
}

func (p *pool) put(c *conn) {
	p.mu.Lock()
	p.free = append(p.free, c)
	p.mu.Unlock()
	<-p.slots
}

// close waits until every connection is back.
func (p *pool) close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	for range cap(p.slots) {
		p.slots <- struct{}{}
	}
	var errs []error
	for _, c := range p.free {
		errs = append(errs, c.close())
	}
	p.free = nil
	for range cap(p.slots) {
		<-p.slots
	}
	return errors.Join(errs...)
}
