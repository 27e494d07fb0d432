// Package sqlite keeps responses in one SQLite database, on a driver in pure Go.
//
//	s, err := sqlite.Open(filepath.Join(cacheDir, "myprogram.db"), nil)
//	client := (&larder.Cache{Store: s}).Client()
//
// New takes a database that was opened with another driver, or other settings.
//
// # Schema
//
//	entries    a row for each record: url, host, method, status, received, fresh_until, keep_until, last_used, size,
//	           tags (JSON); the key and the id; the encoded head (docs/format.md), the body if it has 16 KiB or less
//	chunks     a larger body, 64 KiB a row, each with a checksum
//	tags       tag and entry
//	loose      the ids whose chunks belong to no entry: of writes under way, and of what was deleted a moment ago
//	leases     which of several processes asks the origin for what, and until when
//	responses  a view of entries for people, with dates in place of numbers
//
// Times are Unix milliseconds, NULL means never; n, the number of an entry, is when it was stored, in microseconds.
// Rows may be deleted with the sqlite3 shell while programs use the file: triggers keep the tables in step, and the
// chunks go with the next Sweep.
//
//	sqlite3 cache.db "SELECT url, size, fresh_until FROM responses ORDER BY size DESC LIMIT 10"
//	sqlite3 cache.db "DELETE FROM entries WHERE host = 'api.example.com'"
//
// A hit on a small body is one SELECT. Storing one is one INSERT, or one UPDATE of the record that it supersedes; an
// update of a head is one UPDATE. A large body is written and read chunk by chunk, so that its size does not matter
// to memory, and its row in entries comes last.
//
// # What holds
//
// A record is there, whole, from its Commit on. A process that is killed before that leaves loose chunks, which nobody
// sees. Sweep removes them once nothing was added to them for an hour. So a write that stands still for that long fails
// with store.ErrNotFound if another process sweeps.
//
// The file is in WAL mode with synchronous = NORMAL: a killed program loses nothing, a power cut the last few
// commits.
//
// Any number of processes of one machine may share the file. Each has several readers, which wait for nobody, and one
// writer, which waits up to five seconds for the writers of others; if that was in vain, the writes that are queued
// behind it fail with it. A Lookup takes the writer's connection if that is free, and a reader's otherwise.
//
// A body that is open when its record is deleted can be read on: to its end in the process that deleted it, and for a
// minute in others, unless its room is needed. After that, Read fails with store.ErrNotFound. It never returns a byte
// of another body.
//
// # Damage
//
// Heads, bodies and chunks are under CRC-32C and bound to their id. A record that does not verify is reported
// as store.ErrCorrupt and removed. What SQLite itself finds to be damaged is store.ErrCorrupt as well; the file
// is marked, and the next Open renames it to NAME.damaged-TIME and begins a new one, unless Options.FailDamaged
// is set. The old one is never deleted. Processes that have it open use it to their end.
//
// # Limit
//
// The database file never has more than Options.MaxBytes, whichever process writes to it. A goroutine in the background
// removes the least recently used records before the file is full, down to 15/16 of the limit, 64 of them in a
// transaction. If it does not keep up, a write that finds the file full makes room itself, some milliseconds at a time.
// If nothing can go, since all is being written or read, a write fails with store.ErrTooLarge. A file from the time of
// a higher limit comes down to the new one gradually, as it is written to. The tables take 40 KiB without a record.
//
// Not counted are the files beside it: the write-ahead log, NAME-wal, usually takes 4 MB, some 20 MB under many
// readers, and more while somebody reads for long, whatever the limit is; NAME-shm takes 32 KiB for each 16 MB of it.
//
// A hit writes nothing. Each process remembers by itself when records were used, for up to 8192 keys, and writes that
// down when records have to go, when it remembers so many, at Sweep and at Close. Records not used since they were
// stored go in the order in which they were stored: if the clock is set back, those stored from then on, until a Find,
// count as older.
//
// The file does not shrink when records go: their pages are used again. Sweep gives pages back to the file
// system when an eighth of the file is free, in steps of a megabyte. There is no VACUUM.
//
// # What is not safe
//
// Network file systems: WAL mode needs memory that is shared by all who have the file open. The checksums find
// accidents, not forgery: whoever can write to the file can put any response there.
package sqlite
