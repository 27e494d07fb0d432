package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver of the stores

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/internal/figures"
)

const (
	historyEnv   = "LARDER_HISTORY" // names the file; none is none
	historyDays  = 31               // for how long it is kept
	historyEvery = time.Minute      // between two writes; the last one is at the end
	historyTime  = 2 * time.Second  // for a write
)

// history counts what caches answered, by hour and host, in a file. larder stats shows it.
type history struct {
	path  string // empty: none is kept
	store string // of the caches
}

// hourOf is the counts for one host in one hour.
type hourOf struct {
	hour time.Time
	host string
	figures.Counts
}

const historySchema = `CREATE TABLE IF NOT EXISTS answered (
	store TEXT, hour INTEGER, host TEXT,
	hits INTEGER, stale INTEGER, revalidated INTEGER, misses INTEGER, bypassed INTEGER, refused INTEGER, saved INTEGER,
	store_responses INTEGER, store_time INTEGER, origin_responses INTEGER, origin_time INTEGER, origin_bytes INTEGER,
	PRIMARY KEY (store, hour, host)) WITHOUT ROWID;
	CREATE INDEX IF NOT EXISTS answered_hour ON answered (hour)`

// historyColumns are the names of columnsOf.
var historyColumns = []string{"hits", "stale", "revalidated", "misses", "bypassed", "refused", "saved",
	"store_responses", "store_time", "origin_responses", "origin_time", "origin_bytes"}

func columnsOf(c *figures.Counts) []any {
	return []any{&c.Hits, &c.Stale, &c.Revalidated, &c.Misses, &c.Bypassed, &c.Refused, &c.Saved,
		&c.Store.Responses, &c.Store.Time, &c.Origin.Responses, &c.Origin.Time, &c.Origin.Bytes}
}

// history returns the history of the store that a's commands use. A store in memory has none.
func (a *app) history() (history, error) {
	at, _, err := a.location()
	if err != nil || at.Kind == "memory" {
		return history{}, err
	}
	if at.Kind == "sqlite" || at.Kind == "disk" {
		if at.Path, err = filepath.Abs(at.Path); err != nil {
			return history{}, err
		}
	}
	h := history{path: os.Getenv(historyEnv), store: at.String()}
	switch h.path {
	case "none":
		return history{}, nil
	case "":
		dir, err := os.UserCacheDir()
		if err != nil {
			return history{}, nil // there is nowhere to keep it
		}
		h.path = filepath.Join(dir, "larder", "history.sqlite")
	}
	return h, nil
}

// count counts what c answers, and writes that to the history, until end is called. It must be called before c is used.
// It calls tell with the first fault of the history; no fault keeps c from answering.
func (a *app) count(c *larder.Cache, tell func(error)) (end func(), err error) {
	h, err := a.history()
	if err != nil {
		return nil, err
	}
	if h.path == "" {
		return func() {}, nil
	}
	var recorder figures.Recorder
	alsoObserve(c, recorder.Observe)
	var told sync.Once
	write := func() {
		if err := h.add(recorder.Take(time.Now())); err != nil {
			told.Do(func() { tell(fmt.Errorf("what is answered is not counted for larder stats: %w", err)) })
		}
	}
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		tick := time.NewTicker(historyEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				write()
			case <-stop:
				write()
				return
			}
		}
	})
	return func() {
		close(stop)
		writer.Wait()
	}, nil
}

// open opens the file, and makes it if it is missing.
func (h history) open(ctx context.Context) (db *sql.DB, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("the history %s cannot be used: %w", h.path, err)
		}
	}()
	if err := os.MkdirAll(filepath.Dir(h.path), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(h.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	f.Close()
	path := filepath.ToSlash(h.path)
	if filepath.IsAbs(h.path) && !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/…
	}
	// Counts are not worth waiting for the disk: after a power failure the last ones may be missing.
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: "_pragma=busy_timeout(1000)&_pragma=synchronous(off)"}
	db, err = sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, err
	}
	if _, err = db.ExecContext(ctx, historySchema); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// add adds the counts of s, and removes those that are too old, of whatever store.
func (h history) add(s figures.Snapshot) (err error) {
	if len(s.Hosts) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), historyTime)
	defer cancel()
	db, err := h.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	sums := make([]string, len(historyColumns))
	for i, name := range historyColumns {
		sums[i] = name + " = " + name + " + excluded." + name
	}
	insert := "INSERT INTO answered (store, hour, host, " + strings.Join(historyColumns, ", ") + ") VALUES (?, ?, ?" +
		strings.Repeat(", ?", len(historyColumns)) + ") ON CONFLICT DO UPDATE SET " + strings.Join(sums, ", ")
	hour := s.Since.Truncate(time.Hour)
	for _, host := range s.Hosts {
		if _, err := tx.ExecContext(ctx, insert, slices.Concat([]any{h.store, hour.Unix(), host.Host}, columnsOf(&host.Counts))...); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM answered WHERE hour < ?", hour.AddDate(0, 0, -historyDays).Unix()); err != nil {
		return err
	}
	return tx.Commit()
}

// read returns the counts since then, the oldest first.
func (h history) read(ctx context.Context, since time.Time) (all []hourOf, err error) {
	if h.path == "" {
		return nil, nil
	}
	if _, err := os.Stat(h.path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	db, err := h.open(ctx)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, "SELECT hour, host, "+strings.Join(historyColumns, ", ")+
		" FROM answered WHERE store = ? AND hour >= ? ORDER BY hour, host", h.store, since.Truncate(time.Hour).Unix())
	if err != nil {
		return nil, fmt.Errorf("the history %s cannot be read: %w", h.path, err)
	}
	defer rows.Close()
	for rows.Next() {
		var r hourOf
		var hour int64
		if err := rows.Scan(slices.Concat([]any{&hour, &r.host}, columnsOf(&r.Counts))...); err != nil {
			return nil, fmt.Errorf("the history %s cannot be read: %w", h.path, err)
		}
		r.hour = time.Unix(hour, 0)
		all = append(all, r)
	}
	return all, rows.Err()
}
