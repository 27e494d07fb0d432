package har

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
)

// maxEntry is the length of the longest entry that is read, in bytes.
const maxEntry = 128 << 20

var errTooLong = errors.New("it is longer than is read at once")

// Reader reads the entries of a HAR. It holds one in memory.
type Reader struct {
	in      input
	dec     *json.Decoder
	max     int64 // maxEntry
	at      place
	found   bool // log.entries
	entries int
}

// place is where in the document a Reader is.
type place uint8

const (
	atStart place = iota
	inDocument
	inLog
	inEntries
)

// NewReader returns a Reader of the HAR in r.
func NewReader(r io.Reader) *Reader {
	b := bufio.NewReader(r)
	if bom, _ := b.Peek(3); string(bom) == "\ufeff" {
		b.Discard(3)
	}
	out := &Reader{in: input{r: b}, max: maxEntry}
	out.dec = json.NewDecoder(&out.in)
	return out
}

// Next returns the next entry, or io.EOF if there are no more. Any other error says where in the HAR it is; nothing can
// be read after it.
func (r *Reader) Next() (*Entry, error) {
	for {
		e, err := r.step()
		switch {
		case err == errEnd:
			return nil, io.EOF
		case err != nil:
			return nil, r.fault(err)
		case e != nil:
			return e, nil
		}
	}
}

var errEnd = errors.New("the document has ended, as it should")

// step reads a token, an entry, or a value to be passed over.
func (r *Reader) step() (e *Entry, err error) {
	r.in.left = r.max
	if r.at == inEntries && r.dec.More() {
		r.entries++
		e = new(Entry)
		return e, r.dec.Decode(e)
	}
	if r.at == atStart {
		return nil, r.open('{', inDocument, "the document")
	}
	t, err := r.dec.Token()
	if err != nil {
		return nil, err
	}
	if _, ends := t.(json.Delim); ends {
		if r.at--; r.at > atStart {
			return nil, nil
		}
		return nil, r.end()
	}
	switch name := t.(string); { // the decoder allows nothing else here
	case r.at == inDocument && name == "log":
		return nil, r.open('{', inLog, name)
	case r.at == inLog && name == "entries":
		r.found = true
		return nil, r.open('[', inEntries, "log.entries")
	}
	return nil, r.dec.Decode(new(json.RawMessage))
}

// open reads the beginning of an object or a list.
func (r *Reader) open(want json.Delim, to place, what string) error {
	t, err := r.dec.Token()
	if err != nil {
		return err
	}
	if t != want {
		return fmt.Errorf("%s is not %s", what, map[json.Delim]string{'{': "an object", '[': "a list"}[want])
	}
	r.at = to
	return nil
}

// end checks what comes after the document.
func (r *Reader) end() error {
	if _, err := r.dec.Token(); err != io.EOF {
		return errors.New("there is something after the end of the document")
	}
	if !r.found {
		return errors.New("there is no log.entries in it")
	}
	return errEnd
}

// fault says where in the HAR an error is.
func (r *Reader) fault(err error) error {
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong):
		err = fmt.Errorf("%s: want %s, not %s", cmp.Or(wrong.Field, "the entry"), kind(wrong.Type), wrong.Value)
	case err == io.EOF && r.at == atStart:
		return errors.New("there is nothing in it")
	case err == io.EOF || err == io.ErrUnexpectedEOF || err.Error() == "unexpected end of JSON input": // as Go 1.27 has it behind a comma
		err = errors.New("the document ends in the middle")
	case err == errTooLong:
		err = fmt.Errorf("%w, %d MiB", err, r.max>>20)
	}
	rest, _ := io.ReadAll(r.dec.Buffered())
	line := 1 + r.in.lines - bytes.Count(bytes.TrimLeft(rest, " \t\r\n,"), []byte("\n"))
	if r.at == inEntries && r.entries > 0 {
		return fmt.Errorf("entry %d, about line %d: %w", r.entries, line, err)
	}
	return fmt.Errorf("about line %d: %w", line, err)
}

// kind describes the JSON that a Go type is read from.
func kind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list"
	case reflect.Struct:
		return "an object"
	case reflect.Float64:
		return "a number"
	}
	return "a whole number"
}

// input limits what the decoder reads, and counts the lines.
type input struct {
	r     io.Reader
	left  int64
	lines int
}

func (in *input) Read(p []byte) (int, error) {
	if in.left <= 0 {
		return 0, errTooLong
	}
	n, err := in.r.Read(p[:min(int64(len(p)), in.left)])
	in.left -= int64(n)
	in.lines += bytes.Count(p[:n], []byte("\n"))
	return n, err
}
