// Package sealed keeps responses encrypted in any other store.
//
//	key, err := sealed.KeyFromFile("/etc/myprogram/larder.key")
//	files, err := disk.Open(filepath.Join(cacheDir, "myprogram"), nil)
//	s, err := sealed.New(files, key)
//	client := (&larder.Cache{Store: s}).Client()
//
// Head and body are sealed with AES-256-GCM. Each head, and each 32 KiB of a body, is bound to its key, its record, its
// place and its length. What is altered, cut, swapped, or moved to another URL does not open: it is reported as
// store.ErrCorrupt, and removed. No byte is handed out before it is verified. The bytes are described in
// docs/format-sealed.md.
//
// # What is still seen
//
// Whoever reads the other store sees how many records there are, and of each: its random ID; when it was received,
// turns stale and ends; when it was stored, updated and used; how long its head and its body are; and which key sealed
// it. URLs, keys, tags and the keys of leases are there as keyed digests, which show that two records have one in
// common, and not which. Nothing else is seen: no URL or host, no method or status, no field of a request or response,
// no byte of a body.
//
// Lengths can betray contents, the more so if contents are compressed first: see package compressed.
//
// # What is not noticed
//
// Whoever writes to the other store can delete records, and put back what was there before: an old head of a record, or
// a record that was deleted or replaced. It answers only for the URL that it was stored for, and has the dates that it
// had: if it has turned stale meanwhile, it is stale. A Store cannot notice this, since it does not remember what it
// wrote. The times that the other store sees are copies: changing them makes it sweep early or late, and changes
// nothing that a Cache sees.
//
// Keys and opened heads are in the memory of the program, in the clear.
//
// # Rotation of keys
//
// The first key that New is given seals what is stored from then on; all of them open. So a key is replaced in three
// steps, each of which every process takes before the next:
//
//	sealed.New(files, old, next) // next is known
//	sealed.New(files, next, old) // next is used
//	sealed.New(files, next)      // old is dropped
//
// While processes seal with different keys, a Lookup at the moment when one of them replaces what another has stored
// may find neither. A record keeps its key until it is replaced: an update does not change it. A process that lacks the
// key neither finds the record nor reports it as damaged. It leaves the record to those who have the key, to Sweep, and
// to the limit of the other store. Size counts it all the same. Each key after the first costs one more Lookup in the
// other store. To remove everything, whatever the key, purge the other store itself:
//
//	(&larder.Cache{Store: files}).Purge(ctx, store.Query{})
//
// # What it takes
//
// Sealing adds 240 bytes to a record, 30 for each tag, and 16 for each 32 KiB of body. Reading a body takes a buffer of
// 32 KiB, and writing one takes two, whatever its size. Update looks the record up first. Find uses the digests for
// Key, URL and Tag; for Prefix, Host and Filter it opens every head. A head that was found stays opened for as long as
// the other store has its record in memory, which memory.Store does not count.
package sealed
