// Package compressed keeps responses in any other store, with their bodies compressed.
//
//	files, err := disk.Open(filepath.Join(cacheDir, "myprogram"), nil)
//	client := (&larder.Cache{Store: compressed.New(files)}).Client()
//
// A body becomes zstd frames (RFC 8878) of 256 KiB each. Each can be unpacked without the others, so Seek reads only
// the frames that it needs. What the other store holds is a file that zstd can unpack. The head stays as it is, but for
// one field that says where the frames are. A Cache sees the plain body, its length, and the plain head. The bytes are
// described in docs/format-compressed.md.
//
// # What is compressed
//
// Bodies of 1 KiB and more, unless the response has a Content-Encoding, or a media type that is compressed already:
// most images, audio and video, archives, fonts, office documents. The first frame shows whether compressing is
// worthwhile: if it does not save a sixteenth, the body is kept as it is, and read without a detour. So are records
// that were in the other store before.
//
// Compressing pays where space or bandwidth is expensive: in a database across the network, in one that keeps all in
// memory, on a small disk. On a local disk a hit on a small body takes longer with it than without (go test -bench
// Document).
//
// # Together with package sealed
//
// What is sealed cannot be compressed any more, so it is compressed first: the sealed store is the inner one.
//
//	s, err := sealed.New(files, key)
//	client := (&larder.Cache{Store: compressed.New(s)}).Client()
//
// The length of a compressed body tells something of its content, sealed or not. If attackers can choose one part of a
// body that holds a secret in another, have it fetched again and again, and see how long the record becomes, they can
// guess the secret piece by piece, as CRIME and BREACH did. Do not compress such bodies.
//
// # Damage
//
// Each frame has a checksum, and must unpack to its expected length. If it does not, that is store.ErrCorrupt, and the
// record is removed. No frame unpacks to more than 256 KiB, whatever it says. Whoever can write to the other store can
// put any response there: package sealed prevents that.
//
// # What it takes
//
// A Store takes 2 MB for each processor that compresses at the same time. Writing a body takes 256 KiB, or less if it
// is known to be shorter, and as much again while a frame is packed, and while it is read back. Reading a body takes
// 256 KiB, and as much again while a frame is unpacked. Both also take 8 bytes for each frame: 160 KB for 5 GB. Open
// and Update look the record up first. A hit on a body of up to 64 KiB that the other store keeps beside the head is
// one Lookup.
package compressed
