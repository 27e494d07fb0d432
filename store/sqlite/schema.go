package sqlite

import (
	"errors"
	"fmt"
	"time"
)

const (
	applicationID  = 0x4c617264 // "Lard", in the file's header
	version        = 1          // of the schema, in user_version
	versionDamaged = -1         // in user_version: set the file aside at the next Open

	pageSize = 4096
	cacheKiB = 4 << 10 // of each connection, outside Go's heap; a long body fills it
	walBytes = 16 << 20

	chunkSize = 64 << 10
	inlineMax = 16 << 10 // larger bodies go into chunks
)

// Times are Unix milliseconds, but for n; NULL: never. Triggers keep the tables in step, whoever deletes: DELETE FROM
// entries in a shell is as good as a purge.
//
// Open compares these texts with those in the file, comments included, and sets aside a file that has others. So
// whoever changes a letter of them empties the caches of all users.
var schema = []string{
	`CREATE TABLE entries (
		n           INTEGER PRIMARY KEY, -- when it was stored, in microseconds
		key         BLOB NOT NULL,
		id          BLOB NOT NULL,
		url         TEXT NOT NULL,
		host        TEXT NOT NULL,
		method      TEXT NOT NULL,
		status      INTEGER NOT NULL,
		received    INTEGER,
		fresh_until INTEGER,
		keep_until  INTEGER,
		last_used   INTEGER, -- NULL: not since it was stored
		size        INTEGER NOT NULL,
		chunks      INTEGER NOT NULL,
		bytes       INTEGER NOT NULL,
		tags        TEXT,
		body_sum    INTEGER,
		head        BLOB NOT NULL,
		body        BLOB
	)`,
	// It has what Sweep and Size look at, too: another index would make storing a small body a fifth dearer.
	`CREATE INDEX entries_key ON entries (key, id, keep_until, bytes)`,
	// Without those not used since they were stored, usually most, which go in the order of n: see evict.go.
	`CREATE INDEX entries_last_used ON entries (last_used) WHERE last_used IS NOT NULL`,

	`CREATE TABLE chunks (
		id   BLOB NOT NULL,
		seq  INTEGER NOT NULL,
		sum  INTEGER NOT NULL,
		data BLOB NOT NULL,
		UNIQUE (id, seq)
	)`, // with rowids, since without them SQLite reads the whole row to compare a key

	// The ids whose chunks belong to no entry: being written, or deleted and left for a while to those who read them.
	`CREATE TABLE loose (
		id      BLOB PRIMARY KEY,
		writing INTEGER NOT NULL,
		since   INTEGER NOT NULL
	) WITHOUT ROWID`,

	// Which of several processes asks the origin for what.
	`CREATE TABLE leases (
		key    BLOB PRIMARY KEY,
		holder BLOB NOT NULL,
		until  INTEGER NOT NULL
	) WITHOUT ROWID`,

	`CREATE TABLE tags (
		tag   TEXT NOT NULL,
		entry INTEGER NOT NULL,
		PRIMARY KEY (tag, entry)
	) WITHOUT ROWID`,

	`CREATE TRIGGER entry_tagged AFTER INSERT ON entries WHEN new.tags IS NOT NULL BEGIN
		INSERT OR IGNORE INTO tags SELECT value, new.n FROM json_each(new.tags);
	END`,
	`CREATE TRIGGER entry_retagged AFTER UPDATE OF tags ON entries WHEN old.tags IS NOT new.tags BEGIN
		DELETE FROM tags WHERE entry = old.n AND tag IN (SELECT value FROM json_each(old.tags));
		INSERT OR IGNORE INTO tags SELECT value, new.n FROM json_each(new.tags);
	END`,
	`CREATE TRIGGER entry_untagged AFTER DELETE ON entries WHEN old.tags IS NOT NULL BEGIN
		DELETE FROM tags WHERE entry = old.n AND tag IN (SELECT value FROM json_each(old.tags));
	END`,
	`CREATE TRIGGER entry_deleted AFTER DELETE ON entries WHEN old.chunks > 0 BEGIN
		INSERT OR REPLACE INTO loose VALUES (old.id, 0, unixepoch() * 1000);
	END`,

	`CREATE VIEW responses AS SELECT
		url, method, status, size, tags,
		datetime(received / 1000, 'unixepoch') AS received,
		datetime(fresh_until / 1000, 'unixepoch') AS fresh_until,
		datetime(keep_until / 1000, 'unixepoch') AS keep_until,
		datetime(coalesce(last_used, n / 1000) / 1000, 'unixepoch') AS last_used
	FROM entries`,
}

// migrate creates the tables in a new file and checks those of an old one. It does not touch those of another program.
func (c *conn) migrate() error {
	done, err := c.current()
	if err != nil {
		return err
	}
	if !done {
		if err := c.layOut(); err != nil {
			return err
		}
	}
	if err := c.useWAL(); err != nil || done {
		return err
	}
	return c.transaction(func() error {
		if done, err := c.current(); done || err != nil {
			return err
		}
		for _, q := range schema {
			if _, err := c.sql.ExecContext(background, q); err != nil {
				return doing("create the tables", err)
			}
		}
		return c.pragmas(
			fmt.Sprintf("application_id = %d", applicationID),
			fmt.Sprintf("user_version = %d", version))
	})
}

// useWAL puts the file in WAL mode. If several connections do so at once, SQLite fails all but one without waiting,
// whatever the busy_timeout.
func (c *conn) useWAL() error {
	for wait := time.Millisecond; ; wait *= 2 {
		err := c.pragmas("journal_mode = WAL")
		if resultCode(err) != codeBusy || wait > 4*time.Second {
			return err
		}
		time.Sleep(wait)
	}
}

// layOut makes the settings that have an effect only while the file is empty and not in WAL mode.
func (c *conn) layOut() error {
	var pages int64
	if err := c.sql.QueryRowContext(background, "PRAGMA page_count").Scan(&pages); err != nil || pages > 0 {
		return err
	}
	return c.pragmas(fmt.Sprintf("page_size = %d", pageSize), "auto_vacuum = INCREMENTAL")
}

// current reports whether the tables are there already. Anything else in the schema is damage, except for the tables of
// ANALYZE: a statement of ours might set off a trigger that never ends.
func (c *conn) current() (bool, error) {
	var app, v, objects, ours int
	const query = `SELECT application_id, user_version,
			(SELECT count(*) FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT IN ('sqlite_stat1', 'sqlite_stat4')),
			(SELECT count(*) FROM sqlite_schema WHERE sql IN (SELECT value FROM json_each(?)))
		FROM pragma_application_id, pragma_user_version` // at one moment: somebody else may be making the tables
	if err := c.sql.QueryRowContext(background, query, tagList(schema)).Scan(&app, &v, &objects, &ours); err != nil {
		return false, fmt.Errorf("read the version of the schema: %w", err)
	}
	switch {
	case objects == 0 && app == 0 && v == 0:
		return false, nil
	case app != applicationID:
		return false, errors.New("it is the database of another program; choose another path")
	case v == versionDamaged:
		return false, fmt.Errorf("%w: the file was found so while it was in use", errDamaged)
	case v > version:
		return false, fmt.Errorf("it was made by a newer version of larder (schema %d, this one knows %d)", v, version)
	case v != version || ours != len(schema) || objects != ours:
		return false, fmt.Errorf("%w: schema %d with %d objects, %d of them larder's", errDamaged, v, objects, ours)
	}
	return true, nil
}
