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
	"strings"
)

// MaxBytes is how long a sitemap may be when it is unpacked, as the protocol has it.
const MaxBytes = 50 << 20

// ErrTooLong says that a sitemap is longer than MaxBytes.
var ErrTooLong = fmt.Errorf("longer than %d MiB", MaxBytes>>20)

// Sitemap is what a sitemap lists. An index lists Sitemaps, others list URLs.
type Sitemap struct {
	URLs, Sitemaps []string
}

// Read reads a sitemap: XML, or text with a URL on each line; packed by gzip or not.
func Read(r io.Reader) (Sitemap, error) {
	in := bufio.NewReader(r)
	if magic, _ := in.Peek(2); string(magic) == "\x1f\x8b" {
		unpacked, err := gzip.NewReader(in)
		if err != nil {
			return Sitemap{}, fmt.Errorf("unpack: %w", err)
		}
		in = bufio.NewReader(unpacked)
	}
	in = bufio.NewReader(&limited{in, MaxBytes + 1})
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

func readText(in io.Reader) (s Sitemap, err error) {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); line != "" {
			s.URLs = append(s.URLs, line)
		}
	}
	return s, lines.Err()
}

// readXML takes the loc elements of url and sitemap elements, and passes over all that extensions add.
func readXML(in io.Reader) (s Sitemap, err error) {
	d := xml.NewDecoder(in)
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

// limited is an io.LimitedReader that tells when there is more.
type limited struct {
	r    io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, ErrTooLong
	}
	n, err := l.r.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	return n, err
}
