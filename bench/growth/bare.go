package main

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the driver that larder's store comes with
)

// bare reads what is stored without a cache: from a map, the file, or the row, of an entry each as likely as any other.
// So it shows what it takes that there are many: that they are in no cache of the processor and the system.
type bare struct {
	read    func() error
	closeIt func() error
}

func (f *filled) newBare() (*bare, error) {
	switch f.kind {
	case "memory":
		return f.inMap()
	case "disk":
		return f.files()
	}
	return f.rows()
}

// inMap is the floor of bench/compare: a map, Header.Clone and a bytes.Reader.
func (f *filled) inMap() (*bare, error) {
	type entry struct {
		header http.Header
		body   []byte
	}
	all := make(map[string]*entry, f.n)
	for i := range f.n {
		req, err := http.NewRequest(http.MethodGet, url(i), nil)
		if err != nil {
			return nil, err
		}
		resp, err := origin{}.RoundTrip(req)
		if err != nil {
			return nil, err
		}
		all[url(i)] = &entry{resp.Header, bytes.Clone(body)}
	}
	var kept http.Header // so that the copy is made
	return &bare{closeIt: func() error { return nil }, read: func() error {
		e := all[url(rand.IntN(f.n))]
		kept = e.header.Clone()
		n, err := io.Copy(io.Discard, bytes.NewReader(e.body))
		if err == nil && (n != bodyLen || len(kept) != len(e.header)) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}}, nil
}

func (f *filled) files() (*bare, error) {
	paths, err := filepath.Glob(filepath.Join(f.dir, "v1", "?", "*.head"))
	if err == nil && len(paths) != f.n {
		err = fmt.Errorf("%d files, want %d", len(paths), f.n)
	}
	return &bare{closeIt: func() error { return nil }, read: func() error {
		_, err := os.ReadFile(paths[rand.IntN(len(paths))])
		return err
	}}, err
}

func (f *filled) rows() (_ *bare, err error) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(f.dir, "cache.db")+"?mode=ro")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			db.Close()
		}
	}()
	db.SetMaxOpenConns(1)
	found, err := db.Query("SELECT key FROM entries")
	if err != nil {
		return nil, err
	}
	var keys [][]byte
	for found.Next() {
		var key []byte
		if err := found.Scan(&key); err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	if err := errors.Join(found.Err(), found.Close()); err != nil {
		return nil, err
	}
	if len(keys) != f.n {
		return nil, fmt.Errorf("%d rows, want %d", len(keys), f.n)
	}
	get, err := db.Prepare("SELECT head, body FROM entries WHERE key = ?")
	if err != nil {
		return nil, err
	}
	var head, stored []byte
	return &bare{closeIt: db.Close, read: func() error {
		return get.QueryRow(keys[rand.IntN(len(keys))]).Scan(&head, &stored)
	}}, nil
}

// readBare begins with what newBare returns, which end does away with.
func (f *filled) readBare() (_ time.Duration, err error) {
	if f.bare == nil {
		if f.bare, err = f.newBare(); err != nil {
			return 0, err
		}
	}
	return several(1000, f.bare.read)
}

func (f *filled) end() error {
	if f.bare == nil {
		return nil
	}
	b := f.bare
	f.bare = nil
	return b.closeIt()
}
