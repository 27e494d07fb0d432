// Package sitemap reads sitemaps (https://www.sitemaps.org/protocol.html).
package sitemap

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
)

// MaxBytes is how long a sitemap may be when it is unpacked, as the protocol has it.
const MaxBytes = 50 << 20

// MaxLine is how long a line may be.
const MaxLine = 64 << 10

var (
	// ErrTooLong says that a sitemap is longer than MaxBytes.
	ErrTooLong = fmt.Errorf("longer than %d MiB", MaxBytes>>20)
	// ErrLongLine says that a line is longer than MaxLine.
	ErrLongLine = fmt.Errorf("the line is longer than %d KiB", MaxLine>>10)
)

// Sitemap is what a sitemap lists. An index lists Sitemaps, others list URLs.
type Sitemap struct {
	URLs, Sitemaps []string
	LongLines      []int // the numbers, from 1, of the lines that are longer than MaxLine, and left out
}

// Read reads a sitemap: XML, or text with a URL on each line; packed by gzip or not.
func Read(r io.Reader) (Sitemap, error) { return readUpTo(MaxBytes, r) }

func readUpTo(most int64, r io.Reader) (Sitemap, error) {
	in := bufio.NewReader(r)
	if magic, _ := in.Peek(2); string(magic) == "\x1f\x8b" {
		unpacked, err := gzip.NewReader(in)
		if err != nil {
			return Sitemap{}, fmt.Errorf("unpack: %w", err)
		}
		in = bufio.NewReader(unpacked)
	}
	in = bufio.NewReader(&limited{in, most + 1})
	if mark, _ := in.Peek(3); string(mark) == "\xef\xbb\xbf" {
		in.Discard(3)
	}
	first, err := in.Peek(1)
	if err != nil {
		if err == io.EOF {
			err = errors.New("it is empty")
		}
		return Sitemap{}, err
	}
	if !bytes.ContainsAny(first, "< \t\r\n") {
		return readText(in)
	}
	return readXML(in)
}

func readText(r io.Reader) (s Sitemap, err error) {
	n := 0
	for line, err := range Lines(r) {
		n++
		url := strings.TrimSpace(line)
		switch {
		case err == ErrLongLine:
			s.LongLines = append(s.LongLines, n)
		case err != nil:
			return s, err
		case url != "":
			s.URLs = append(s.URLs, url)
		}
	}
	return s, nil
}

// Lines yields the lines of r, without their ends. Of a line that is longer than MaxLine it yields the beginning, with
// ErrLongLine. An error of r comes last.
func Lines(r io.Reader) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		in := bufio.NewReaderSize(r, MaxLine+len("\r\n"))
		for {
			line, more, err := in.ReadLine()
			if err == io.EOF {
				return
			}
			text, fault := string(line), err
			if more || len(line) > MaxLine {
				fault = ErrLongLine
			}
			for more && err == nil {
				_, more, err = in.ReadLine()
			}
			if err != nil && err != io.EOF {
				yield("", err)
				return
			}
			if !yield(text, fault) {
				return
			}
		}
	}
}

// readXML takes the loc elements of url and sitemap elements, and passes over all that extensions add.
func readXML(in io.Reader) (s Sitemap, err error) {
	d := xml.NewDecoder(in)
	d.CharsetReader = func(charset string, in io.Reader) (io.Reader, error) {
		if strings.EqualFold(charset, "us-ascii") { // a part of UTF-8
			return in, nil
		}
		return nil, errors.New("want UTF-8")
	}
	var open []string // the elements around
	var text strings.Builder
	for {
		token, err := d.Token()
		if err == io.EOF {
			if open == nil {
				return s, errors.New("there is no element in it, want urlset or sitemapindex")
			}
			return s, nil
		}
		if err != nil {
			return s, fmt.Errorf("byte %d: %w", d.InputOffset(), err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			if open == nil && t.Name.Local != "urlset" && t.Name.Local != "sitemapindex" {
				return s, fmt.Errorf("it begins with the element %q, want urlset or sitemapindex", t.Name.Local)
			}
			open = append(open, t.Name.Local)
			text.Reset()
		case xml.CharData:
			text.Write(t)
		case xml.EndElement:
			if n := len(open); n == 3 && open[2] == "loc" {
				loc := strings.TrimSpace(text.String())
				switch open[1] {
				case "url":
					s.URLs = append(s.URLs, loc)
				case "sitemap":
					s.Sitemaps = append(s.Sitemaps, loc)
				}
			}
			open = open[:len(open)-1]
			text.Reset()
		}
	}
}

// limited is an io.LimitedReader that tells when all that it may read has been read.
type limited struct {
	r    io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.r.Read(p[:min(int64(len(p)), l.left)])
	if l.left -= int64(n); l.left == 0 {
		err = ErrTooLong
	}
	return n, err
}
