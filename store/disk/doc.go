// Package disk keeps responses in a directory, on the standard library alone.
//
//	s, err := disk.Open(filepath.Join(cacheDir, "myprogram"), nil)
//	client := (&larder.Cache{Store: s}).Client()
//
// # Layout
//
//	v1/usage-00000001      how much there is, see below
//	v1/leases/abcd…        who of several processes asks the origin for a key; until its modification time
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
// Most keys have one record, and for that one file is made. The folder is made for what comes next, a variant, a
// replacement or an update, and stays as long as something is in it. A hit opens the first file and the folder, and the
// files of what is in that. It lists a folder only if that was changed since the last hit or a moment before it, and it
// reads a head of up to 4 KiB only if that was, or is not one of the last 512. To store something opens one log for the
// URL and for each tag besides the head; once in an hour at most the same log is also gone through for what is not
// there any more, which takes 10 µs a line. Find reads for a key what is under that, for a URL or a tag what the index
// tells of, and else every head there is, as Sweep does. A fan without an index gets none, and is read whole. No file
// is overwritten, renamed over, or cut but for a body's that is too long before anybody sees it, which keeps file
// systems from flushing data (ext4 takes ten times as long for it) and readers from seeing two versions mixed. What is
// not named as above is left alone. Directories are made with mode 0700, files with 0600, and nothing outside is
// reached, by symbolic links neither (see os.Root).
//
// # What holds
//
// A record is there from the moment its head gets its name, DIGEST.head or DIGEST/ID.head, whole, until that file is
// removed. A process that is killed leaves files that nobody sees; Sweep removes them when nothing was written to them
// for an hour. An update counts only beside the head as it was committed, so that it cannot bring a record back.
//
// Nothing is synced to the platter but what is brought back into the index: after a power cut recent records may be
// empty or torn, and one that is whole may be missing from the index, so that Find by its URL or tag, and what purges
// by these, pass it over until its next Update. Every byte is under a CRC-32C, which is verified before the byte is
// handed out; a record that does not verify, or that is not the one it is named for, is reported as store.ErrCorrupt
// and removed.
//
// Where the system tells when a file was last changed (its ctime, which programs cannot set), that holds once a process
// and hour: a body that was read to its end and verified is handed out as it is, and a small head remembered, as long
// as the file is the same one and unchanged, by its size, modification time and ctime. Any write to the file ends that.
// What changes without the file system, as bits do that rot, is found by the next hit that verifies; what is changed
// after a body was opened, by the next hit. A body that is trusted is to io.Copy an *os.File, which Linux sends to a
// socket without reading it into the process. Where there is no ctime, as on Windows, every hit reads and verifies.
//
// A body that is open can be read to its end when its record is removed: on Unix because the file lives as
// long as it is open, on Windows because os.Root opens files so that they may be deleted meanwhile.
//
// Any number of processes of one machine may share a directory. No lock is held between them. A directory that is
// deleted under a running program makes misses, one of which in each fan is reported as store.ErrCorrupt; the next
// store makes it anew.
//
// # Limit
//
// Options.MaxBytes bounds what the files of records take in blocks of 4 KiB, and one block more for each record, for
// the folder that it may have and its 64 bytes in the index for the URL and each of up to 63 tags. What is being
// written counts as well: at no moment do the files take more, whatever the number of goroutines and processes. What is
// to be written is entered in the ledger, v1/usage-…, before it takes space, and what was removed, afterwards; so its
// sum, which Open need not count, is never less than what is there. A small record is entered once, by Commit. A body
// in a file of its own is entered as it grows, some way ahead, and its file is made as long as was entered.
//
// Whoever finds no room makes it first, down to 15/16 of the limit: it compares 64 records, those that come next in the
// fans after the ones that were compared last time, and removes the least recently used quarter of them, or the least
// recently used of all in a store of up to 64 records. There is no goroutine in the background. What is being written,
// or was just left by a process that was killed, cannot be evicted; if that leaves no room, the write fails with
// store.ErrTooLarge: that of a body of known length before anything is evicted for it, if others of the same Store have
// taken the room by then. So does that of a body whose length was not known beforehand, when it gets to half of the
// limit: it may have no end, and must not drive out all that is stored. A store that was opened with a lower limit than
// it had comes down to it by Sweep, or by writes, each of which removes up to half the limit more than it adds.
//
// A process that is killed leaves the ledger too high, by what it was about to write or had just removed, and files
// that nobody sees. These are removed after an hour by Sweep, or by who makes room and comes by them; the head of an
// Update that was under way by Sweep alone. Sweep also puts the ledger right if no other process has entered anything
// for 3 s. In a store of up to 64 records so does whoever needs the room, once in 3 s at most, with files to which
// nothing was written for five minutes.
//
// Not counted are the lines of the index of what is gone, 64 bytes for the URL and for each tag of what was there
// before under the same key (up to 16 in each log of its fan), was stored within the last hours, or is among the last
// 64 KiB of a log, nor what file systems take to make whole blocks of its up to 256 logs; the ledger itself, of up to 1
// MiB, and leases; and, on Unix, what was removed while somebody reads it, until that ends. The limit may be exceeded
// if
//   - the ledger is lost or damaged, until Sweep, or an Open that finds none, has counted what is there,
//   - processes have limits that differ: the largest one holds, and the others evict for it,
//   - a process is killed between the two calls that give the first record of a key its name and take away the one that
//     it was written under, and the record is removed: by its head, until the other name is removed as well,
//   - a file system has no hard links, and a process writes the first entry of a new ledger while another enters something,
//   - a process is stopped between an entry and the file that it is for, for more than 3 s, or between the removal of a
//     file and its entry, for as long as another one takes to count all that is there, and that does; it lasts until the
//     next count.
//
// The last use of a record is the modification time of its last head, which a hit renews when it is older than an
// hour: a hit writes nothing, as a rule, and what was used within the same hour goes in the order of its
// first use in it. A time that is more than an hour ahead is of a clock that was wrong: what has it goes first.
//
// # What is not safe
//
// Network file systems: they may show a rename or an append late, or twice. Two machines must not share a
// directory. The checksums find accidents, not forgery: who can write to the directory can put any response
// there.
//
// File systems that do not keep the modification time of a directory, and programs that set it back: a hit may then
// miss for a minute what was stored or deleted under its URL. On Windows, where FAT is such a file system, that time
// is not relied on. File systems that do not keep a ctime, and programs that write to a file through a mapping made
// long before: a hit may then hand out for an hour what was not stored.
//
// # What it takes
//
// A Store holds one open file for the ledger, one for each fan that it has used, up to 16, and one for the fan in which
// it made room last; in memory what it knows of the folders, heads and bodies it read last, up to 2.4 MB of 4096
// folders, 6 MB of 512 heads, and 2 MB of 4096 bodies. A body that is read or written takes 32 KiB more, whatever its
// size.
package disk
