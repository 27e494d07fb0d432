package postgres

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/chunked"
	"github.com/larder-go/larder/store/storetest"
)

// database gives each case of the kit a table of its own, named by the case's directory.
type database struct {
	*pgxpool.Pool

	mu    sync.Mutex
	names map[string]string
}

func open(t *testing.T) *database {
	url := os.Getenv("POSTGRES_URL")
	if url == "" {
		t.Skip("POSTGRES_URL names no server, so PostgreSQL is not tested")
	}
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	db := &database{Pool: pool, names: make(map[string]string)}
	t.Cleanup(func() {
		for _, name := range db.names {
			if _, err := pool.Exec(context.Background(), "DROP TABLE IF EXISTS "+pgx.Identifier{name}.Sanitize()); err != nil {
				t.Error(err)
			}
		}
		pool.Close()
	})
	return db
}

// name returns the name of the table for dir.
func (db *database) name(dir string) string {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.names[dir] == "" {
		db.names[dir] = "test_" + rand.Text()
	}
	return db.names[dir]
}

// damage changes a byte in the middle of a value.
func (db *database) damage(dir, group, item string) error {
	const query = `UPDATE %s SET value = set_byte(value, length(value) / 2, get_byte(value, length(value) / 2) # 1)
		WHERE grp = $1 AND item = $2`
	tag, err := db.Exec(context.Background(), fmt.Sprintf(query, pgx.Identifier{db.name(dir)}.Sanitize()), group, item)
	if err == nil && tag.RowsAffected() != 1 {
		err = fmt.Errorf("%d rows damaged, want 1", tag.RowsAffected())
	}
	return err
}

func TestContract(t *testing.T) {
	db := open(t)
	digest := func(key store.Key) string { d := key.Digest(); return hex.EncodeToString(d[:]) }
	storetest.Run(t, storetest.Kit{
		Open: func(dir string) (store.Store, error) {
			table, err := New(t.Context(), db.Pool, db.name(dir))
			if err != nil {
				return nil, err
			}
			return chunked.New(table, nil), nil
		},
		Persistent: true,
		Shared:     true,
		DamageHead: func(dir string, r *store.Record) error {
			return db.damage(dir, "r/"+digest(r.Key), r.ID.String())
		},
		DamageBody: func(dir string, r *store.Record) error {
			return db.damage(dir, "b/"+digest(r.Key)+"/"+r.ID.String(), "00000000")
		},
	})
}
