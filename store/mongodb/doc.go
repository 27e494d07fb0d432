// Package mongodb keeps responses in a MongoDB database, with the official driver. Any number of programs on any number
// of machines may share it.
//
//	s, err := mongodb.Open(ctx, "mongodb://user:password@host/larder?authSource=admin", nil)
//	client := (&larder.Cache{Store: s}).Client()
//
// New takes a database of a client that the program has already, with that client's options.
//
// # Collections
//
// Package store/chunked makes rows of records and of the pieces of bodies. Its comment says what a row's group, item,
// value and expiry are. A row is a document, in the collection for the first letter of its group:
//
//	larder.records   r/…   {_id: "r/DIGEST:ID", value: Binary, expires: Date}
//	larder.bodies    b/…   {_id: "b/DIGEST/ID:00000000", value: Binary, expires: Date}
//	larder.index     i/…   {_id: "i/u/HASH:DIGEST/ID", expires: Date}
//	larder.leases    l/…   {_id: "l/DIGEST:l", value: Binary, expires: Date}
//
// The _id is the group, a colon and the item. Neither has a colon in it, so a group is a range of _id, and needs no
// other index. An empty value is left out, and so is the expiry of what never expires. A piece of a body has 1 MiB
// (Options.Chunk), so the limit of 16 MB for a document does not limit bodies. A response whose head is larger than a
// document is not stored, and the error wraps store.ErrTooLarge.
//
// A hit on a small response is one find. Every write is a write of one document: there are no transactions, so
// a standalone server will do. In a sharded cluster, shard by _id if at all.
//
// # Expiry
//
// Before its first write to a collection a store makes a TTL index on expires, by which the server removes what has
// expired, usually within a minute. A server may refuse, because it has no such index or the user may not make one.
// Then the store works without it, and Sweep removes what has expired. There is no limit to the size of the whole: what
// is to be kept forever stays until it is deleted.
//
// # Reading and writing
//
// Read preference, read concern, write concern, compression, TLS and all else are those of the URI, of Options.Client
// or of the database given to New. By the driver's defaults reads go to the primary, and a write is done when the
// majority has it.
//
// A read from a secondary, or with the read concern majority after a write with w=1, may see an earlier state. Then a
// response that was just stored is a miss, one that was superseded or deleted may be served once more, and an Update of
// what was just stored may fail with store.ErrNotFound. A wrong response is never served: a body's pieces are found by
// the random id of their record, and have a checksum. Leases exclude each other all the same, since they are taken by
// writes. The write concern w=0 is refused at the first write.
//
// # Servers that cannot be reached
//
// The client that Open makes takes 500 ms at most to make a connection (connectTimeoutMS), and 750 ms to find a server
// and a free connection to it (serverSelectionTimeoutMS). The driver's own defaults are 30 s each; raise ours for
// servers that are far away. While no server can be reached, calls fail at once. The servers are checked every 2 s
// (heartbeatFrequencyMS), so calls succeed again within 2 s after a server is back. With a dialer or a server monitor
// in Options.Client, and with New, calls wait as long as the settings say: a client given to New should have a server
// selection timeout. Once a call has a connection, larder.Cache.StoreTimeout bounds it.
//
// A read that was cut off is repeated. So is a write, if the server is not a standalone one.
//
// # Permissions
//
// find, insert, update and remove on the four collections, as the role readWrite has; createIndex for the TTL index.
// What is not permitted is an error when it is first done, not at Open.
//
// # What is not safe
//
// The checksums find accidents, not forgery: whoever can write to the database can put any response there. Machines
// whose clocks differ disagree by as much on when a lease has ended.
//
// FerretDB 1 loses an update when two come at once, so it needs maxPoolSize=1 in the URI, and must not have a second
// client. On SQLite it reads a whole collection at every call, and so is slow from a few hundred large documents on.
package mongodb
