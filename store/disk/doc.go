// Package disk keeps responses in a directory, on the standard library alone.
//
//	s, err := disk.Open(filepath.Join(cacheDir, "myprogram"), nil)
//	client := (&larder.Cache{Store: s}).Client()
//
// # Layout
//
//	v1/usage-00000001      how much there is, see below
//	v1/leases/abcd…        which of several processes asks the origin for a key; until its modification time
//	v1/a/                  one of 16 fans, by the first digit of the SHA-256 of the keys in it
//	  DIGEST.head          the first record of a key, with the body inside if that has 32 KiB or less
//	  DIGEST-ID.body       a larger body, of any of its records: the bytes from offset 0 on, checksums of each 32 KiB, a footer
//	  DIGEST/ID.head       another record of it
//	  DIGEST/ID-N.head     a later head of a record, after an Update
//	  DIGEST-N.temp        a head that is being written
//	  index/0 … index/f    by which keys a URL or a tag may be found: lines of 64 bytes that are appended
//	  index/0-N            a log that grew long or was damaged; it is removed an hour later at the earliest
//	v1/a-N/                a fan that is being made
//
// Most keys have one record, which takes one file. The folder of a key is made for what comes next, a variant, a
// replacement or an update, and stays as long as something is in it. A hit opens the first file and the folder, and the
// files in that. It lists a folder only if that changed since the last hit or a moment before it. It reads a head of up
// to 4 KiB only if that changed, or is not one of the last 512. Storing a record opens the head, one log for the URL,
// and one for each tag; at most once an hour it also looks through such a log for what is gone, which takes 10 µs a
// line. Find reads what is under a key, or what the index names for a URL or a tag; for anything else it reads every
// head, as Sweep does. A fan without an index gets none, and is read whole.
//
// No file is overwritten or renamed over, and none is shortened, except that of a body that was made too long, before
// anybody sees it. That keeps file systems from flushing data (with which ext4 takes ten times as long) and readers
// from seeing two versions mixed. What is not named as above is left alone. Directories are made with mode 0700, and
// files with 0600. Nothing outside the directory is reached, not even by symbolic links (see os.Root).
//
// # What holds
//
// A record is there, whole, from the moment when its head gets its name, DIGEST.head or DIGEST/ID.head, until that file
// is removed. A process that is killed leaves files that nobody sees; Sweep removes them when nothing was written to
// them for an hour. An update counts only beside the head as it was committed, so that it cannot bring a record back.
//
// Nothing is synced to the disk, except what is put back into the index. After a power cut, recent records may be empty
// or torn, and a whole one may be missing from the index: then Find and purges by its URL or tag pass it over until its
// next Update. Every byte is covered by a CRC-32C, which is verified before the byte is handed out. A record that does
// not verify, or does not belong to its file name, is reported as store.ErrCorrupt and removed.
//
// If the system records when a file was last changed (its ctime, which programs cannot set), a process verifies a file
// only once an hour: after that it hands out a body that it has read to its end and verified as it is, and remembers a
// small head, as long as the file is the same one and unchanged by its size, modification time and ctime. Any write to
// the file ends that. What changes without the file system, such as bits that rot, is found by the next hit that
// verifies; what is changed after a body was opened, by the next hit. For io.Copy, a body that is trusted is an
// *os.File, which Linux sends to a socket without reading it into the process. Without a ctime, as on Windows, every
// hit reads and verifies.
//
// An open body can be read to its end if its record is removed: on Unix because the file lives as long as it is open,
// on Windows because os.Root opens files so that they may be deleted meanwhile.
//
// Any number of processes of one machine may share a directory. No lock is held between them. If the directory is
// deleted under a running program, that makes misses, of which one in each fan is reported as store.ErrCorrupt; the
// next record that is stored makes the directory anew.
//
// # Limit
//
// Options.MaxBytes limits what the files of records take in blocks of 4 KiB, plus one block for each record: for the
// folder that it may have, and its 64 bytes in the index for the URL and each of up to 63 tags. What is being written
// counts as well: the files never take more, whatever the number of goroutines and processes. What is to be written is
// entered in the ledger, v1/usage-…, before it takes space, and what was removed, afterwards. So the sum in the ledger,
// which spares Open the counting, is never less than what is there. A small record is entered once, by Commit. A body
// in a file of its own is entered as it grows, some way ahead, and its file is made as long as was entered.
//
// A write that finds no room first makes some, down to 15/16 of the limit. It compares 64 records, those that follow in
// the fans on the ones that were compared last time, and removes the least recently used quarter of them; in a store of
// up to 64 records it removes the least recently used of all. There is no goroutine in the background. What is being
// written, or was just left by a process that was killed, cannot be evicted; if that leaves no room, the write fails
// with store.ErrTooLarge. The write of a body of known length fails before anything is evicted for it, if other writes
// of the same Store have taken the room by then. A body whose length is not known beforehand fails at half of the
// limit: it may have no end, and must not drive out all that is stored. A store that was opened with a lower limit than
// before comes down to it by Sweep, or by writes, each of which removes up to half the limit more than it adds.
//
// A process that is killed leaves the ledger too high, by what it was about to write or had just removed, and files
// that nobody sees. After an hour these are removed by Sweep, or by a write that makes room and comes across them; the
// head of an Update that was under way is removed by Sweep alone. Sweep also corrects the ledger if no other process
// has entered anything for 3 s. In a store of up to 64 records, a write that needs room does so, too, at most once in 3
// s, with files to which nothing was written for five minutes.
//
// Not counted are
//   - lines of the index for what is gone: 64 bytes for the URL and for each tag of what was there before under the same
//     key (up to 16 in each log of its fan), was stored within the last hours, or is among the last 64 KiB of a log; nor
//     what file systems add to make whole blocks of its up to 256 logs,
//   - the ledger itself, of up to 1 MiB, and leases,
//   - on Unix, what was removed while somebody reads it, until that ends.
//
// The limit may be exceeded if
//   - the ledger is lost or damaged, until Sweep, or an Open that finds none, has counted what is there,
//   - processes have limits that differ: the largest one holds, and the others evict for it,
//   - a process is killed between the two calls that give the first record of a key its name and take away the one that
//     it was written under, and the record is removed: by its head, until the other name is removed as well,
//   - a file system has no hard links, and a process writes the first entry of a new ledger while another enters something,
//   - a process is stopped for more than 3 s between an entry and the file that it is for, or between the removal of a file
//     and its entry for as long as another one takes to count all that is there, and that one does count; it lasts until
//     the next count.
//
// The last use of a record is the modification time of its last head, which a hit renews if it is older than an hour.
// So most hits write nothing, and what was used within the same hour goes in the order of its first use in it. A time
// that is more than an hour ahead comes from a clock that was wrong: records with such a time go first.
//
// # What is not safe
//
// Network file systems: they may show a rename or an append late, or twice. Two machines must not share a
// directory. The checksums find accidents, not forgery: whoever can write to the directory can put any response
// there.
//
// File systems that do not keep the modification time of a directory, and programs that set it back: for a minute a hit
// may then not see what was stored or deleted under its URL. On Windows, where FAT is such a file system, that time is
// not relied on. File systems that do not keep a ctime, and programs that write to a file through a mapping that they
// made long before: for an hour a hit may then hand out what was not stored.
//
// # What it takes
//
// A Store holds one open file for the ledger, one for each of up to 16 fans that it has used, and one for the fan in
// which it made room last. In memory it keeps what it knows of the folders, heads and bodies that it read last: up to
// 2.4 MB for 4096 folders, 6 MB for 512 heads, and 2 MB for 4096 bodies. Reading or writing a body takes 32 KiB more,
// whatever its size.
package disk
