// Package mongodb keeps responses in a MongoDB database, on the official driver. Any number of programs on any number of
// machines may share it.
//
//	s, err := mongodb.Open(ctx, "mongodb://user:password@host/larder?authSource=admin", nil)
//	client := (&larder.Cache{Store: s}).Client()
//
// New takes a database of a client that the program has already, with whatever options that has.
//
// # Collections
//
// Package store/chunked makes the records, the pieces of bodies and the rest into rows, each with a group, an item, a value and
// an expiry; its comment says what they are. A row is a document, by the first letter of its group in one of four
// collections:
//
//	larder.records   r/…   {_id: "r/DIGEST:ID", value: Binary, expires: Date}
//	larder.bodies    b/…   {_id: "b/DIGEST/ID:00000000", value: Binary, expires: Date}
//	larder.index     i/…   {_id: "i/u/HASH:DIGEST/ID", expires: Date}
//	larder.leases    l/…   {_id: "l/DIGEST:l", value: Binary, expires: Date}
//
// The _id is the group, a colon and the item. There is no colon in either, so a group is a range of the _id,
// and that has the only index but the one on expires. An empty value and an expiry that never comes are left out. A piece of a
// body is a document of 1 MiB (Options.Chunk), so that the limit of 16 MB for a document does not limit bodies.
//
// A hit on a small response is one find. Every write is a write of one document: there are no transactions, so
// a standalone server will do. In a sharded cluster, shard by _id if at all.
//
// # Expiry
//
// Before its first write to a collection a store makes a TTL index on expires, by which the server removes what has
// expired, usually within a minute. Where the server refuses that, for it has no such index or the user may make none, the store
// works without it, and Sweep removes what has expired.
//
// # Reading and writing
//
// Read preference, read concern, write concern, compression, TLS and all else are those of the URI, of Options.Client or of the
// database given to New. With the driver's defaults, the primary is asked and the majority has a write when it is done.
// A read from a secondary, or with a majority read concern after a write with w=1, may be late: then a response that was just
// stored is a miss, one that was superseded or deleted may be served once more, and an Update of what was just
// stored may fail with store.ErrNotFound. A wrong response is never served, since a body's pieces are found by the random id of their
// record and are under a checksum. Leases are asked for by writes, and so hold all the same. The write concern w=0 is
// refused, at the first write.
//
// # Servers that cannot be reached
//
// The client that Open makes waits for 500 ms for a connection to be made (connectTimeoutMS), and for 750 ms until there is a server
// and a free connection to it (serverSelectionTimeoutMS), for which the driver has 30 s each. It asks the servers every
// 2 s how they are (heartbeatFrequencyMS). Servers that are far away may need more. As long as none can be reached, calls fail at
// once, unless Options.Client has a dialer or a server monitor of its own. A client of the program's own, given to New,
// should have a server selection timeout, too. A read that was cut off is repeated, a write on a standalone server is not. Once a call has a
// connection, larder.Cache.StoreTimeout bounds it.
//
// # Permissions
//
// find, insert, update and remove on the four collections, as the role readWrite has; createIndex for the TTL index. What is not
// permitted is an error when it is first done, not at Open.
//
// # What is not safe
//
// The checksums find accidents, not forgery: who can write to the database can put any response there. Machines whose clocks
// differ disagree by as much on when a lease has ended.
//
// FerretDB 1 loses an update when two come at once, so it needs maxPoolSize=1 in the URI and one client alone. It makes no use
// of the index for a range, which makes it slow beyond some thousand documents.
package mongodb
