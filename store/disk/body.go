package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/larder-go/larder/internal/seek"
	"github.com/larder-go/larder/store"
)

// A body file: the body as it is, from the first byte of the file on; the checksum of every block of 32 KiB of it; the
// footer. All numbers are big-endian. A checksum is the CRC-32C of the block that goes on from that of the ID plus the
// block's number, counted from 0, so that a block in the wrong place does not pass.
//
//	-32  "LDB1"
//	-28  the ID
//	-12  uint64  length of the body
//	 -4  uint32  CRC-32C of the 28 bytes before
const (
	bodyMagic  = "LDB1"
	footerSize = 32
	sumSize    = 4
)

type block [blockSize]byte

var blocks = sync.Pool{New: func() any { return new(block) }}

func blockCount(size int64) int64 { return (size + blockSize - 1) / blockSize }

// fileSize returns the size of the file of a body of so many bytes.
func fileSize(size int64) int64 { return size + blockCount(size)*sumSize + footerSize }

// blockSum returns the checksum of block n of a body; seed is that of the ID.
func blockSum(seed uint32, n int64, b []byte) uint32 { return store.Checksum(seed+uint32(n), b) }

func appendFooter(b []byte, id store.ID, size int64) []byte {
	start := len(b)
	b = append(append(b, bodyMagic...), id[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(size))
	return binary.BigEndian.AppendUint32(b, store.Checksum(0, b[start:]))
}

// Open is described at store.Store. A body in a file of its own takes at most one buffer of 32 KiB, whatever its size:
// reads of that length and more go into the caller's buffer. It can be read to its end whatever becomes of the record,
// since the file stays while it is open. Once it is verified, io.Copy sees the file itself, so that the system can send
// it to a socket.
func (s *Store) Open(ctx context.Context, r *store.Record) (io.ReadSeekCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p, err := s.place(r.Key, false)
	if err == nil && r.Size > blockSize {
		var body *body
		body, err = s.openBody(ctx, p, r)
		if err == nil {
			return body, nil
		}
	}
	// Find leaves inline bodies out, too.
	if err == nil || errors.Is(err, fs.ErrNotExist) && p.fan != nil {
		var inline *store.Record
		inline, err = s.readAgain(ctx, p, r.ID, r.Key)
		switch {
		case err == nil && inline.Body != nil:
			return &inlineBody{Reader: bytes.NewReader(inline.Body)}, nil
		case err == nil && r.Size > blockSize: // what is removed loses its body last
			if !store.Inspecting(ctx) {
				s.remove(p, r.ID)
			}
			err = fmt.Errorf("%s is gone: %w", p.body(r.ID), store.ErrCorrupt)
		}
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = store.ErrNotFound
	}
	return nil, fmt.Errorf("disk: open the body of %s: %w", r.ID, err)
}

// inlineBody reads a body from memory.
type inlineBody struct{ *bytes.Reader }

func (b *inlineBody) Close() error {
	b.Reset(nil)
	return nil
}

// body reads a body file. Each block is verified before a byte of it is handed out, unless all of them were verified
// before.
type body struct {
	store  *Store
	place  place
	file   *os.File
	name   string
	id     store.ID
	size   int64
	off    int64
	block  *block // holds block number held; nil until needed
	held   int64
	bare   bool   // all blocks were verified before: seed, sums, first and whole are not needed
	seed   uint32 // checksum of id
	sums   []byte // a window of the checksums
	first  int64  // the block that the first of sums is for
	opened state  // the state of the file, to be trusted once the last block is verified
	whole  int64  // the blocks before this one are verified

	inspected bool // see store.Inspect
}

// sumWindow is how many checksums are read at a time: enough for 16 MiB of body.
const sumWindow = 512

// openBody removes the record if its body is damaged.
func (s *Store) openBody(ctx context.Context, p place, r *store.Record) (*body, error) {
	name, now := p.body(r.ID), time.Now()
	f, info, err := openFile(p.fan, name, os.O_RDONLY)
	b := &body{store: s, place: p, file: f, name: name, id: r.ID, size: r.Size, held: -1, inspected: store.Inspecting(ctx)}
	if err == nil {
		b.opened = state{info, now}
		if err = b.begin(); err == nil {
			return b, nil
		}
		f.Close()
	}
	if errors.Is(err, store.ErrCorrupt) {
		b.damaged()
	}
	return nil, err
}

// begin finds out whether the body must be verified, and then verifies its footer.
func (b *body) begin() error {
	if size, want := b.opened.info.Size(), fileSize(b.size); size != want {
		return fmt.Errorf("%s: %d bytes long instead of %d: %w", b.name, size, want, store.ErrCorrupt)
	}
	if _, b.bare = b.store.bodies.get(b.name, b.opened); b.bare {
		return nil
	}
	b.seed = store.Checksum(0, b.id[:])
	return b.readEnd()
}

// damaged removes the record.
func (b *body) damaged() {
	b.store.bodies.forget(b.name)
	if !b.inspected {
		b.store.remove(b.place, b.id)
	}
}

// readEnd verifies the footer. The last window of checksums, which is all of them for most bodies, comes with the same
// read.
func (b *body) readEnd() error {
	b.first = max(0, blockCount(b.size)-sumWindow)
	at := b.size + b.first*sumSize
	got := make([]byte, fileSize(b.size)-at)
	if _, err := b.file.ReadAt(got, at); err != nil {
		return err
	}
	var footer []byte
	b.sums, footer = got[:len(got)-footerSize], got[len(got)-footerSize:]
	if !bytes.Equal(footer, appendFooter(nil, b.id, b.size)) {
		return fmt.Errorf("%s: does not end as the body of this record: %w", b.name, store.ErrCorrupt)
	}
	return nil
}

func (b *body) Read(p []byte) (int, error) {
	if b.file == nil {
		return 0, os.ErrClosed
	}
	if b.off >= b.size {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, within := b.off/blockSize, b.off%blockSize
	if length := b.length(n); n != b.held && within == 0 && len(p) >= length {
		if err := b.load(n, p[:length]); err != nil {
			return 0, err
		}
		b.off += int64(length)
		return length, nil
	}
	held, err := b.hold(n)
	if err != nil {
		return 0, err
	}
	k := copy(p, held[within:])
	b.off += int64(k)
	return k, nil
}

// WriteTo writes whole blocks, which spares io.Copy a second buffer. If the body is verified, it writes the rest of the
// file itself.
func (b *body) WriteTo(w io.Writer) (written int64, err error) {
	if b.file == nil {
		return 0, os.ErrClosed
	}
	if b.bare {
		return b.writeFile(w)
	}
	for b.off < b.size {
		held, err := b.hold(b.off / blockSize)
		if err != nil {
			return written, err
		}
		k, err := w.Write(held[b.off%blockSize:])
		b.off += int64(k)
		written += int64(k)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// writeFile passes w the file in the form that a *net.TCPConn and an *os.File copy without reading it into the process.
func (b *body) writeFile(w io.Writer) (written int64, err error) {
	if b.off >= b.size {
		return 0, nil
	}
	if _, err := b.file.Seek(b.off, io.SeekStart); err != nil {
		return 0, b.fault(err)
	}
	b.held = -1
	written, err = io.CopyBuffer(w, &io.LimitedReader{R: b.file, N: b.size - b.off}, b.buffer()[:])
	b.off += written
	if err == nil && b.off < b.size {
		return written, b.fault(io.EOF)
	}
	return written, err
}

func (b *body) Seek(offset int64, whence int) (int64, error) {
	to, err := seek.To(b.off, b.size, offset, whence)
	if err != nil {
		return 0, fmt.Errorf("disk: the body of %v: %w", b.id, err)
	}
	b.off = to
	return to, nil
}

func (b *body) Close() error {
	if b.file == nil {
		return nil
	}
	if b.block != nil {
		blocks.Put(b.block)
		b.block = nil
	}
	err := b.file.Close()
	b.file = nil
	return err
}

// length returns the length of block n, which is short for the last one.
func (b *body) length(n int64) int { return int(min(blockSize, b.size-n*blockSize)) }

func (b *body) buffer() *block {
	if b.block == nil {
		b.block = blocks.Get().(*block)
	}
	return b.block
}

// hold returns block n, verified.
func (b *body) hold(n int64) ([]byte, error) {
	p := b.buffer()[:b.length(n)]
	if b.held == n {
		return p, nil
	}
	b.held = -1
	if err := b.load(n, p); err != nil {
		return nil, err
	}
	b.held = n
	return p, nil
}

// load reads block n into p and verifies it, unless that was done before.
func (b *body) load(n int64, p []byte) error {
	_, err := b.file.ReadAt(p, n*blockSize)
	if err == nil && !b.bare {
		err = b.verify(n, p)
	}
	if err != nil {
		return b.fault(fmt.Errorf("block %d: %w", n, err))
	}
	return nil
}

// verify verifies block n. Once all blocks are verified in order, the file is trusted.
func (b *body) verify(n int64, p []byte) error {
	want, err := b.sum(n)
	if err != nil {
		return err
	}
	if blockSum(b.seed, n, p) != want {
		return store.ErrCorrupt
	}
	if n == b.whole {
		if b.whole++; b.whole == blockCount(b.size) {
			b.store.bodies.put(b.name, b.opened, struct{}{}, maxBodies)
		}
	}
	return nil
}

// fault returns the error of reading the file, which must not end here, and removes a damaged record.
func (b *body) fault(err error) error {
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("the file was cut while it was read: %w", store.ErrCorrupt)
	}
	if errors.Is(err, store.ErrCorrupt) {
		b.damaged()
	}
	return fmt.Errorf("disk: read %s: %w", b.name, err)
}

// sum returns the checksum of block n.
func (b *body) sum(n int64) (uint32, error) {
	if i := n - b.first; i < 0 || i >= int64(len(b.sums)/sumSize) {
		count := min(sumWindow, blockCount(b.size)-n)
		if int64(cap(b.sums)) < count*sumSize {
			b.sums = make([]byte, count*sumSize)
		}
		b.sums = b.sums[:count*sumSize]
		b.first = n
		if _, err := b.file.ReadAt(b.sums, b.size+n*sumSize); err != nil {
			b.sums = nil
			return 0, err
		}
	}
	return binary.BigEndian.Uint32(b.sums[(n-b.first)*sumSize:]), nil
}
