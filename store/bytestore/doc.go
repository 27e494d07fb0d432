// Package bytestore keeps responses in stores that were written for other HTTP caches for Go: whatever has the Cache interface
// of gregjones/httpcache and its forks, or is a driver.Conn of bartventer/httpcache. Both are three calls on values of
// bytes, and need no import here.
//
//	s := bytestore.New(diskcache.New(dir), nil)
//	client := (&larder.Cache{Store: s}).Client()
//
// It is for those who have such a store, and reasons to keep it. Who may choose is better off with one of larder's own.
// What other caches have stored in it is neither read nor touched: all names here begin with "larder/".
//
// # Layout
//
//	larder/r/DIGEST             the records of a key: their heads, and bodies of 32 KiB or less. DIGEST is the SHA-256 of
//	                            the key in hexadecimal
//	larder/b/DIGEST/ID/NUMBER   a larger body, or a piece of it: NUMBER is of eight digits, from 0 on
//
// The first holds, for each record, the length of its ID (1 byte), the ID, the length of the rest (a uvarint), and the rest,
// which is a record's row of package chunked, as is the second. Each has a checksum.
//
// # What holds
//
// A record is seen whole or not at all, and a damaged or truncated value is store.ErrCorrupt and removed, also where the
// other store writes in place. What the other store has dropped is a miss. A hit on a small response is one Get, on a larger
// one two. Bodies are a value each, and so in memory as a whole while they are read or written, unless Options.Chunk says
// otherwise.
//
// A call that takes longer than its context is left behind, since it cannot be ended; at most 64 are under way at once.
//
// # What does not
//
// These interfaces have no list, no condition and no expiry. So such a store cannot do what [store.Finder], [store.Sweeper],
// [store.Sizer] and [store.Leaser] are for: larder cannot list it, purge it by tag, pattern or cache group, nor bound it. What
// removes the entries that nobody asks for again is the other store's own limit, if it has one. A process that ends in the midst of
// writing a large body, or without Close within a minute of replacing one, leaves that body behind for good.
//
// It is for one process at a time. Two that write under one key at the same moment may lose a response, or bring one back
// that was just removed; they never mix two.
//
// An error of a Cache of gregjones is not seen at all. What could not be written is a miss later.
package bytestore
