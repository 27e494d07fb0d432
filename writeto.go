package larder

import (
	"errors"
	"io"
	"net/http"
)

// This file lets io.Copy take a stored body from its file, so that the system can send it to a socket by itself. The
// store's reader decides what may be sent without being read (see disk.Store.Open); the writers here only bound it.

// WriteTo writes the rest of the body to w. If w is an io.ReaderFrom, it may get what the store has in a file as an
// *io.LimitedReader of an *os.File.
func (b *storedBody) WriteTo(w io.Writer) (int64, error) {
	b.mu.Lock()
	from, ok := writerTo(b.rc)
	if !ok || b.end != nil || b.writing {
		b.mu.Unlock()
		return io.Copy(w, onlyReader{b})
	}
	b.writing = true // while the lock is free for Close
	b.mu.Unlock()
	dst := &openWriter{w: w, b: b}
	n, err := from.WriteTo(dst)

	more, err := b.written(n, err, dst.err)
	if more {
		k, err := io.Copy(w, onlyReader{b})
		return n + k, err
	}
	return n, err
}

// written notes that WriteTo has written n bytes, and how it ended. It reports whether the origin has more.
func (b *storedBody) written(n int64, err, writeErr error) (more bool, _ error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writing = false
	switch {
	case b.end != nil: // it was closed meanwhile
		b.rc.Close()
		return false, b.end
	case writeErr != nil:
		b.advance(n)
		return false, writeErr
	case err == nil:
		err = io.EOF
	}
	if err = b.over(n, err); err == io.EOF {
		return false, nil
	}
	return err == nil, err
}

func writerTo(r io.Reader) (io.WriterTo, bool) {
	if both, ok := r.(readCloser); ok {
		r = both.Reader
	}
	from, ok := r.(io.WriterTo)
	return from, ok
}

// copyTo is io.Copy with a reused buffer, if it needs one.
func copyTo(w io.Writer, r io.Reader) (int64, error) {
	buf := chunks.Get().(*[chunkSize]byte)
	defer chunks.Put(buf)
	return io.CopyBuffer(w, r, buf[:])
}

// onlyReader hides the other methods of a reader.
type onlyReader struct{ io.Reader }

// openWriter writes a body until that is closed.
type openWriter struct {
	w   io.Writer
	b   *storedBody
	err error // the writer's
}

// filePiece is how many bytes a writer takes from a file at once.
const filePiece = 256 << 10

func (w *openWriter) closed() bool {
	w.b.mu.Lock()
	defer w.b.mu.Unlock()
	return w.b.end != nil
}

func (w *openWriter) Write(p []byte) (n int, err error) {
	if w.closed() {
		return 0, http.ErrBodyReadAfterClose
	}
	n, w.err = w.w.Write(p)
	return n, w.err
}

// ReadFrom reads r to its end.
func (w *openWriter) ReadFrom(r io.Reader) (n int64, err error) {
	file, ok := r.(*io.LimitedReader)
	if !ok {
		return copyTo(struct{ io.Writer }{w}, r)
	}
	for file.N > 0 {
		if w.closed() {
			return n, http.ErrBodyReadAfterClose
		}
		part := io.LimitedReader{R: file.R, N: min(file.N, filePiece)}
		k, err := copyTo(w.w, &part)
		n += k
		file.N -= k
		if err != nil {
			w.err = err
			return n, err
		}
		if part.N > 0 {
			break
		}
	}
	return n, nil
}

// WriteTo writes the rest of the part to w.
func (s *section) WriteTo(w io.Writer) (int64, error) {
	from, ok := s.rs.(io.WriterTo)
	if !ok || s.part.Length == 0 {
		return io.Copy(w, onlyReader{s})
	}
	if !s.sought {
		if _, err := s.rs.Seek(s.part.Start, io.SeekStart); err != nil {
			return 0, err
		}
		s.sought = true
	}
	dst := &partWriter{w: w, left: s.part.Length}
	_, err := from.WriteTo(dst)
	n := s.part.Length - dst.left
	s.part.Length = dst.left
	switch {
	case dst.left == 0:
		err = nil
	case err == nil:
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// errPartWritten ends the copy to a partWriter.
var errPartWritten = errors.New("the part is written")

// partWriter takes left bytes and no more.
type partWriter struct {
	w    io.Writer
	left int64
}

func (w *partWriter) Write(p []byte) (int, error) {
	n, err := w.w.Write(p[:min(int64(len(p)), w.left)])
	if w.left -= int64(n); err == nil && w.left == 0 {
		err = errPartWritten
	}
	return n, err
}

// ReadFrom reads r to its end or that of the part.
func (w *partWriter) ReadFrom(r io.Reader) (int64, error) {
	file, ok := r.(*io.LimitedReader)
	if !ok {
		return copyTo(struct{ io.Writer }{w}, r)
	}
	part := io.LimitedReader{R: file.R, N: min(file.N, w.left)}
	n, err := copyTo(w.w, &part)
	file.N -= n
	if w.left -= n; err == nil && w.left == 0 {
		err = errPartWritten
	}
	return n, err
}
