// Package chunked makes a store.Store from a [Table]: four calls on small values, which most databases are good at. For
// a database you write the Table, in 200 lines or less, and the rest is here: bodies in pieces, reading ahead, several
// calls at once, checksums, an index for URLs and tags, expiry, cleaning up after interrupted writes, leases.
//
//	s := chunked.New(table, nil)
//	client := (&larder.Cache{Store: s}).Client()
//
// # Layout
//
// All values are rows of small groups. DIGEST is the SHA-256 of the record's key in hexadecimal, ID that of the
// record.
//
//	r/DIGEST           ID        a record: its head, and the body of 32 KiB or less
//	b/DIGEST/ID        number    a piece of a larger body: eight digits, from 0 on
//	b/DIGEST/ID        w         when the writer of the body last gave a sign of life, or its record was removed, in
//	                             milliseconds since 1970 (8 bytes)
//	i/u/HASH           DIGEST/ID the record has the URL with this hash: half the SHA-256 of it, in hexadecimal
//	i/t/HASH/D         DIGEST/ID the record has the tag with this hash; D is the first digit of DIGEST, so that a tag
//	                             of a million records is in sixteen groups
//	l/DIGEST           l         a lease: the ID of its holder (16 bytes), and when it ends, in milliseconds since
//	                             1970 (8 bytes)
//
// A record's value is "LDR1"; when its body's pieces expire, in milliseconds since 1970 (8 bytes; 0: never or there
// are none); the length of the head (4 bytes); the head (docs/format.md); the body, if it is no longer than 32 KiB; the
// CRC-32C of all before (4 bytes). A piece is its bytes and their CRC-32C, which goes on from that of the ID plus the
// piece's number, counted from 0; every piece but the last is of the same length. Numbers are big-endian.
//
// # What holds
//
// A hit on a small response is one Get, whatever the number of variants. A larger body takes one more for each piece,
// several at once. An Update is one Get, and a Put for the record and for each of its entries in the indexes; it
// touches no piece.
//
// Pieces come first and the record last, so a record is seen whole or not at all. A record's row expires with its
// KeepUntil. Pieces are written once, with an expiry 30 days later than the KeepUntil that the record had then; an
// Update that moves KeepUntil beyond that keeps the record no longer than its pieces. In a table that is a Keeper,
// pieces last an hour longer than the record, and an Update moves their expiry along.
//
// The body of a record that a Commit or a Delete removed stays for a minute (Options.Grace), so that it can be read on;
// if there are more than 8192 of them, those that have waited longest go sooner. The process that removed the record
// removes the body. If that process ends before, the pieces expire, or Sweep removes them. Sweep also removes what
// interrupted writes left. Of either kind it removes what has given no sign of life for an hour.
//
// Every value has a checksum. What does not verify is store.ErrCorrupt, and removed. Checksums find accidents, not
// forgery: for that, see store/sealed.
//
// Find by Key, URL and Tag reads what it finds; by anything else it reads every record, with bodies up to 32 KiB. So do
// Sweep and Size. A process that dies in the middle of a Commit, a Delete or an Update leaves no wrong answer, but
// perhaps a needless entry in an index, which costs a Get, and expires a minute later than the record. After two
// simultaneous Updates of a record, with KeepUntils more than that minute apart, its entries may expire before it does.
//
// The holder of a lease computes by its own clock when that ends. The database judges that by its clock or, if it has
// none, the process that asks does. A lease left by a clock that was far ahead is taken over when it is asked for.
// Sweep finds remains by the clocks of the writers: if one is an hour behind, its writes may fail, or be missed by a
// purge of their URL or tag.
package chunked
