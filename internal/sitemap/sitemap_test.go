package sitemap_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/larder-go/larder/internal/sitemap"
)

func packed(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(s))
	w.Close()
	return b.String()
}

const urls = `<?xml version="1.0" encoding="UTF-8"?>
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:image="http://www.google.com/schemas/sitemap-image/1.1">
  <url><loc> http://a/?x=1&amp;y=2
  </loc><lastmod>2026-11-24</lastmod><image:image><image:loc>http://a/picture</image:loc></image:image></url>
  <url><priority>0.5</priority><loc><![CDATA[http://a/two]]></loc></url>
</urlset>`

const index = `<sitemapindex><sitemap><loc>http://a/1.xml.gz</loc></sitemap><sitemap><loc>http://a/2.xml</loc></sitemap></sitemapindex>`

func TestRead(t *testing.T) {
	for _, test := range []struct {
		name, in       string
		urls, sitemaps string
	}{
		{"urls, without the pictures", urls, "http://a/?x=1&y=2 http://a/two", ""},
		{"packed", packed(urls), "http://a/?x=1&y=2 http://a/two", ""},
		{"a byte order mark", "\xef\xbb\xbf" + urls, "http://a/?x=1&y=2 http://a/two", ""},
		{"an index", index, "", "http://a/1.xml.gz http://a/2.xml"},
		{"white space before", "\n " + index, "", "http://a/1.xml.gz http://a/2.xml"},
		{"text", "http://a/1\r\n\nhttp://a/2", "http://a/1 http://a/2", ""},
		{"none", "<urlset/>", "", ""},
		{"ASCII", `<?xml version="1.0" encoding="US-ASCII"?>` + index, "", "http://a/1.xml.gz http://a/2.xml"},
	} {
		s, err := sitemap.Read(strings.NewReader(test.in))
		if err != nil || !slices.Equal(s.URLs, strings.Fields(test.urls)) || !slices.Equal(s.Sitemaps, strings.Fields(test.sitemaps)) {
			t.Errorf("%s: %+v, %v", test.name, s, err)
		}
	}
}

func TestReadWrong(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"empty", "", "it is empty"},
		{"packed, empty", packed(""), "it is empty"},
		{"another document", "<html><body/></html>", `it begins with the element "html", want urlset or sitemapindex`},
		{"no element", "<!-- nothing -->", "there is no element in it"},
		{"another charset", `<?xml version="1.0" encoding="ISO-8859-1"?>` + index, `opening charset "ISO-8859-1": want UTF-8`},
		{"cut", urls[:300], "byte 300: "},
		{"packed, cut", packed(urls)[:60], "unexpected EOF"},
		{"not really packed", "\x1f\x8bx", "unpack: "},
	} {
		if s, err := sitemap.Read(strings.NewReader(test.in)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %+v, %v, want %q", test.name, s, err, test.want)
		}
	}
}

// TestTooLong shows that what a few bytes unpack to is bounded, to the byte: here by less than MaxBytes.
func TestTooLong(t *testing.T) {
	const most = 10_000
	for _, test := range []struct{ name, begin, end string }{
		{"XML", "<urlset>", "</urlset>"},
		{"text", "http://a/\n", "\nhttp://b/"},
		{"an index", "<sitemapindex>", "</sitemapindex>"},
	} {
		fits := test.begin + strings.Repeat(" ", most-len(test.begin+test.end)) + test.end
		for _, in := range []string{fits, packed(fits)} {
			if _, err := sitemap.ReadUpTo(most, strings.NewReader(in)); err != nil {
				t.Errorf("%s of %d bytes: %v", test.name, most, err)
			}
		}
		for _, in := range []string{fits + "\n", packed(fits + "\n")} {
			if _, err := sitemap.ReadUpTo(most, strings.NewReader(in)); !errors.Is(err, sitemap.ErrTooLong) {
				t.Errorf("%s of %d bytes: %v, want ErrTooLong", test.name, most+1, err)
			}
		}
	}
}

// TestMaxBytes shows that the bound of Read is MaxBytes.
func TestMaxBytes(t *testing.T) {
	const parts = 50
	part := "http://a/" + strings.Repeat(" ", sitemap.MaxBytes/parts-len("http://a/\n")) + "\n"
	fits := strings.Repeat(packed(part), parts) // a file of gzip may have several members
	s, err := sitemap.Read(strings.NewReader(fits))
	if err != nil || len(s.LongLines) != parts {
		t.Errorf("of MaxBytes: %d lines, %v", len(s.LongLines), err)
	}
	if _, err := sitemap.Read(strings.NewReader(fits + packed("\n"))); !errors.Is(err, sitemap.ErrTooLong) {
		t.Errorf("of a byte more: %v, want ErrTooLong", err)
	}
}

func TestLongLines(t *testing.T) {
	fits := "http://a/" + strings.Repeat("x", sitemap.MaxLine-len("http://a/"))
	lines := []string{"http://a/1", fits + "x", fits, fits + fits, "http://a/5", fits + "x"}
	for _, end := range []string{"\n", "\r\n"} {
		s, err := sitemap.Read(strings.NewReader(strings.Join(lines, end)))
		if err != nil || !slices.Equal(s.URLs, []string{"http://a/1", fits, "http://a/5"}) || !slices.Equal(s.LongLines, []int{2, 4, 6}) {
			t.Errorf("%d URLs, long are %d, %v", len(s.URLs), s.LongLines, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{urls, index, packed(index), "http://a/1\nhttp://a/2"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := sitemap.Read(bytes.NewReader(b))
		if err != nil && err.Error() == "" {
			t.Error("an error that says nothing")
		}
		for _, u := range slices.Concat(s.URLs, s.Sitemaps) {
			if u != strings.TrimSpace(u) {
				t.Errorf("%q has white space around it", u)
			}
		}
	})
}
