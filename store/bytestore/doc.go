// Package bytestore keeps responses in stores that were written for other HTTP caches for Go: anything that implements
// the Cache interface of gregjones/httpcache and its forks, or driver.Conn of bartventer/httpcache. Both are three
// calls on values of bytes, and are not imported here.
//
//	s := bytestore.New(diskcache.New(dir), nil)
//	client := (&larder.Cache{Store: s}).Client()
//
// It is for those who have such a store, and reasons to keep it. If you can choose, use one of larder's own stores.
// What other caches have stored is neither read nor touched: all names here begin with "larder/".
//
// # Layout
//
//	larder/r/DIGEST             the records of a key: their heads, and bodies of 32 KiB or less. DIGEST is the SHA-256 of
//	                            the key in hexadecimal
//	larder/b/DIGEST/ID/NUMBER   a larger body, or a piece of it: NUMBER is of eight digits, from 0 on
//
// The first holds, for each record, the length of its ID (1 byte), the ID, the length of the rest (a uvarint), and the
// rest: the value of the record's row in package chunked. The second is the value of a row, too. Each such value has a
// checksum.
//
// # What holds
//
// A record is seen whole or not at all. A damaged or truncated value is store.ErrCorrupt and removed, also where the
// other store writes in place. What the other store has dropped is a miss. A hit on a small response is one Get, on a
// larger one two. A body is one value, unless Options.Chunk says otherwise: so it is in memory as a whole while it is
// read or written.
//
// A call that outlasts its context is left running, since it cannot be ended; at most 64 calls are under way at once.
//
// # What does not
//
// These interfaces have no list, no condition and no expiry. So a Store here is no [store.Finder], [store.Sweeper],
// [store.Sizer] or [store.Leaser]: larder cannot list it, purge it by tag, pattern or cache group, nor bound it.
// Entries that nobody asks for again are removed by the other store's own limit, if it has one. A process leaves a
// large body behind for good if it ends while it writes it, or without Close within a minute of replacing it.
//
// It is for one process at a time. Two that write under one key at the same moment may lose a response, or bring one
// back that was just removed; they never mix two.
//
// The Cache of gregjones/httpcache reports no errors. What could not be written is a miss later.
package bytestore
