package har

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"unicode"
	"unicode/utf8"
)

// Writer writes a HAR. Of an entry it holds no more than the head in memory.
type Writer struct {
	out  *bufio.Writer
	many bool // there is an entry already
}

// NewWriter begins a HAR made by a program of this name and version.
func NewWriter(w io.Writer, name, version string) *Writer {
	out := bufio.NewWriterSize(w, 64<<10)
	fmt.Fprintf(out, `{"log":{"version":"1.2","creator":{"name":%q,"version":%q},"entries":[`, name, version)
	return &Writer{out: out}
}

// Close ends the HAR. It does not close the underlying writer.
func (w *Writer) Close() error {
	w.out.WriteString("\n]}}\n")
	return w.out.Flush()
}

// source opens what is to be written.
type source func() (io.Reader, error)

// write writes an entry. It takes the content's Text (in base64 if Encoding says so) and Stored from the sources, and
// not from e; a nil source is none. After an error the HAR is of no use.
func (w *Writer) write(e *Entry, text, stored source) error {
	head := *e
	content := &head.Response.Content
	content.Text, content.Stored = "", ""
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(&head); err != nil {
		return err
	}
	if w.many {
		w.out.WriteByte(',')
	}
	w.many = true
	w.out.WriteByte('\n')
	const end = "}}}" // of content, response and entry
	w.out.Write(AppendText(nil, bytes.TrimSuffix(b.Bytes(), []byte(end+"\n")), false))
	if text != nil {
		w.out.WriteString(`,"text":"`)
		if err := w.copy(text, content.Encoding != ""); err != nil {
			return err
		}
		w.out.WriteByte('"')
	}
	if stored != nil {
		w.out.WriteString(`,"_stored":"`)
		if err := w.copy(stored, true); err != nil {
			return err
		}
		w.out.WriteByte('"')
	}
	_, err := w.out.WriteString(end)
	return err
}

// copy writes the inside of a JSON string.
func (w *Writer) copy(from source, binary bool) error {
	r, err := from()
	if err != nil {
		return err
	}
	var to io.WriteCloser = &textWriter{out: w.out}
	if binary {
		to = base64.NewEncoder(base64.StdEncoding, w.out)
	}
	if _, err := io.Copy(to, r); err != nil {
		return err
	}
	return to.Close()
}

// textWriter writes UTF-8 that comes in pieces as the inside of a JSON string.
type textWriter struct {
	out  io.Writer
	in   []byte // ends in the middle of a character, if it is not empty
	text []byte
}

func (t *textWriter) Write(p []byte) (int, error) {
	t.in = append(t.in, p...)
	whole := wholeRunes(t.in)
	t.text = AppendText(t.text[:0], t.in[:whole], true)
	t.in = append(t.in[:0], t.in[whole:]...)
	_, err := t.out.Write(t.text)
	return len(p), err
}

func (t *textWriter) Close() error {
	_, err := t.out.Write(AppendText(nil, t.in, true))
	return err
}

// wholeRunes returns the length of p without a character that is cut off at its end.
func wholeRunes(p []byte) int {
	for i := len(p) - 1; i >= max(0, len(p)-utf8.UTFMax); i-- {
		if utf8.RuneStart(p[i]) {
			if !utf8.FullRune(p[i:]) {
				return i
			}
			break
		}
	}
	return len(p)
}

// AppendText appends p, which is JSON, or with quote is made the inside of a JSON string. All that a terminal would
// obey is escaped.
func AppendText(out, p []byte, quote bool) []byte {
	for len(p) > 0 {
		r, size := utf8.DecodeRune(p)
		switch {
		case quote && (r == '"' || r == '\\'):
			out = append(out, '\\', p[0])
		case r == '\n' && quote:
			out = append(out, `\n`...)
		case unicode.IsPrint(r):
			out = append(out, p[:size]...)
		case r > 0xffff:
			out = fmt.Appendf(out, `\u%04x\u%04x`, (r-0x10000)>>10+0xd800, (r-0x10000)&0x3ff+0xdc00)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		p = p[size:]
	}
	return out
}
