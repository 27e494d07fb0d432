package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	_ "modernc.org/sqlite" // the driver that larder's store comes with

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/memory"
)

// storedBytes returns what larder has to keep of the response of newOrigin: its encoded head and its body.
func storedBytes(size int) ([]byte, error) {
	o, s := newOrigin(size, fresh), &memory.Store{MaxBytes: 4 << 30}
	c := &larder.Cache{Store: s, Base: o}
	if err := newGetter(c.RoundTrip, size)(request(0)); err != nil {
		return nil, err
	}
	for r, err := range s.Find(context.Background(), store.Query{}) {
		if err != nil {
			return nil, err
		}
		return append(store.AppendHead(nil, r), o.body...), nil
	}
	return nil, errors.New("the response was not stored")
}

// readFile is os.ReadFile of the bytes that a cache on the disk has to read for a hit.
func readFile(size int) (*job, error) {
	return withFile(size, func(path string, want int) func(int) error {
		return func(int) error {
			b, err := os.ReadFile(path)
			if err == nil && len(b) != want {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	})
}

// streamFile is the same through a buffer.
func streamFile(size int) (*job, error) {
	return withFile(size, func(path string, want int) func(int) error {
		buf := make([]byte, bufferSize)
		return func(int) error {
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			return readAll(f, buf, want)
		}
	})
}

func withFile(size int, worker func(path string, want int) func(int) error) (*job, error) {
	b, err := storedBytes(size)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(scratch, "")
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "file")
	return &job{
		worker: func() func(int) error { return worker(path, len(b)) },
		close:  func() error { return nil },
	}, os.WriteFile(path, b, 0o600)
}

// writeFile is os.WriteFile of the bytes that are to be stored of a response, under a new name each.
func writeFile(size int) (*job, error) {
	b, err := storedBytes(size)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(scratch, "")
	if err != nil {
		return nil, err
	}
	return &job{
		worker: func() func(int) error {
			return func(i int) error { return os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), b, 0o600) }
		},
		close: func() error {
			if size > 16*mb {
				return os.RemoveAll(dir)
			}
			return nil
		},
	}, nil
}

// database is one connection to a new SQLite file, set up as larder's is, with no more in it than a table needs.
type database struct {
	dir  string
	db   *sql.DB
	conn *sql.Conn
}

const rowSize = 64 << 10 // of a body that is cut into rows, as larder does

func newDatabase() (*database, error) {
	dir, err := os.MkdirTemp(scratch, "")
	if err != nil {
		return nil, err
	}
	pragmas := url.Values{"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(NORMAL)", "cache_size(-4096)"}}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "bare.db")+"?"+pragmas.Encode())
	if err != nil {
		return nil, err
	}
	d := &database{dir: dir, db: db}
	if d.conn, err = db.Conn(context.Background()); err != nil {
		return nil, errors.Join(err, d.close())
	}
	_, err = d.conn.ExecContext(context.Background(), `
		CREATE TABLE kv (key BLOB PRIMARY KEY, value BLOB);
		CREATE TABLE chunks (key BLOB, seq INTEGER, data BLOB, UNIQUE (key, seq))`)
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func (d *database) close() error {
	if d.conn != nil {
		d.conn.Close()
	}
	return d.db.Close()
}

func (d *database) exec(query string, args ...any) error {
	_, err := d.conn.ExecContext(context.Background(), query, args...)
	return err
}

// job is a prepared statement and what to do with it.
func (d *database) job(query string, do func(*sql.Stmt, int) error) (*job, error) {
	st, err := d.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	return &job{
		worker: func() func(int) error { return func(i int) error { return do(st, i) } },
		close:  func() error { return errors.Join(st.Close(), d.close()) },
	}, nil
}

func bareKey(i int) []byte { return []byte(request(i).URL.String()) }

// selectRow is a prepared SELECT of the bytes that a hit needs.
func selectRow(size int) (*job, error) {
	b, err := storedBytes(size)
	if err != nil {
		return nil, err
	}
	d, err := newDatabase()
	if err != nil {
		return nil, err
	}
	if err := d.exec(`INSERT INTO kv VALUES (?, ?)`, bareKey(0), b); err != nil {
		return nil, errors.Join(err, d.close())
	}
	key := bareKey(0)
	return d.job(`SELECT value FROM kv WHERE key = ?`, func(st *sql.Stmt, _ int) error {
		var v []byte
		err := st.QueryRow(key).Scan(&v)
		if err == nil && len(v) != len(b) {
			err = io.ErrUnexpectedEOF
		}
		return err
	})
}

// selectRows is a prepared SELECT of a body in rows, each of which is looked at without copying it.
func selectRows(size int) (*job, error) {
	d, err := newDatabase()
	if err != nil {
		return nil, err
	}
	body := newOrigin(size, fresh).body
	key := bareKey(0)
	for seq := 0; seq*rowSize < size; seq++ {
		row := body[seq*rowSize : min(size, (seq+1)*rowSize)]
		if err := d.exec(`INSERT INTO chunks VALUES (?, ?, ?)`, key, seq, row); err != nil {
			return nil, errors.Join(err, d.close())
		}
	}
	return d.job(`SELECT data FROM chunks WHERE key = ? ORDER BY seq`, func(st *sql.Stmt, _ int) error {
		rows, err := st.Query(key)
		if err != nil {
			return err
		}
		defer rows.Close()
		n := 0
		for rows.Next() {
			var v sql.RawBytes
			if err := rows.Scan(&v); err != nil {
				return err
			}
			n += len(v)
		}
		if n != size {
			return fmt.Errorf("%d bytes in the rows, not %d", n, size)
		}
		return rows.Err()
	})
}

// upsert is a prepared upsert of the bytes that are to be stored of a response, under a new key each.
func upsert(size int) (*job, error) {
	b, err := storedBytes(size)
	if err != nil {
		return nil, err
	}
	d, err := newDatabase()
	if err != nil {
		return nil, err
	}
	const query = `INSERT INTO kv VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value`
	return d.job(query, func(st *sql.Stmt, i int) error {
		_, err := st.Exec(bareKey(i), b)
		return err
	})
}

// insertRows stores a body in rows, in one transaction, under a new key each.
func insertRows(size int) (*job, error) {
	d, err := newDatabase()
	if err != nil {
		return nil, err
	}
	body := newOrigin(size, fresh).body
	j, err := d.job(`INSERT INTO chunks VALUES (?, ?, ?)`, func(st *sql.Stmt, i int) error {
		if err := d.exec(`BEGIN`); err != nil {
			return err
		}
		for seq := 0; seq*rowSize < size; seq++ {
			if _, err := st.Exec(bareKey(i), seq, body[seq*rowSize:min(size, (seq+1)*rowSize)]); err != nil {
				return err
			}
		}
		return d.exec(`COMMIT`)
	})
	if err != nil {
		return nil, err
	}
	if size > 16*mb {
		closeIt := j.close
		j.close = func() error { return errors.Join(closeIt(), os.RemoveAll(d.dir)) }
	}
	return j, nil
}

// request returns a GET of the resource numbered i.
func request(i int) *http.Request {
	req, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://api.example.com/v1/things/%08d?page=2&size=50", i), nil)
	if err != nil {
		panic(err) // the URL is ours
	}
	return req
}
