package store

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// full returns a record in which no field is zero but Body, which is not part of the head.
func full() *Record {
	id, _ := ParseID("0190a1b2c3d4e5f60718293a4b5c6d7e")
	return &Record{
		Key: "key\x00\xff", ID: id,
		Head: Head{
			Method: "GET", URL: "https://example.com/a?b=c",
			Status: 200, Proto: "HTTP/2.0",
			Header:       http.Header{"Content-Type": {"text/plain; charset=utf-8"}, "Vary": {"Accept", "Accept-Language"}, "Empty": {""}},
			Trailer:      http.Header{"Digest": {"x"}},
			Selecting:    http.Header{"Accept": {"text/html"}, "Accept-Language": nil},
			Uncompressed: true,
			Length:       -1,
			TLS: &Connection{Version: 0x304, CipherSuite: 0x1301, ServerName: "example.com", Protocol: "h2",
				Certificates: [][]byte{{0x30, 0x82, 0}, {0x30}}},
			Requested: time.Unix(1_700_000_000, 1), Received: time.Unix(1_700_000_001, 999_999_999),
			TTL: math.MaxInt64, StaleWhileRevalidate: time.Minute, StaleIfError: 24 * time.Hour,
		},
		Size:       12345,
		FreshUntil: time.Unix(1_700_003_600, 0), KeepUntil: time.Unix(1_700_007_200, 5),
		Tags: []string{"red", "", "a b"},
	}
}

func TestFullIsFull(t *testing.T) {
	var check func(v reflect.Value, path string)
	check = func(v reflect.Value, path string) {
		for i := range v.NumField() {
			f := v.Type().Field(i)
			switch {
			case !f.IsExported() || f.Name == "Body":
			case f.Type.Kind() == reflect.Struct && f.Type != reflect.TypeFor[time.Time]():
				check(v.Field(i), path+f.Name+".")
			case v.Field(i).IsZero():
				t.Errorf("full leaves out %s%s, so that nothing tests its encoding", path, f.Name)
			}
		}
	}
	check(reflect.ValueOf(full()).Elem(), "")
	check(reflect.ValueOf(full().TLS).Elem(), "TLS.")
}

func TestHeadRoundTrip(t *testing.T) {
	bare := func(change func(*Record)) *Record {
		r := &Record{Key: "k", Head: Head{Header: http.Header{}}}
		change(r)
		return r
	}
	for _, c := range []struct {
		name string
		r    *Record
	}{
		{"every field", full()},
		{"nothing but a key", bare(func(*Record) {})},
		{"a long key of any byte", bare(func(r *Record) { r.Key = Key(strings.Repeat("\x00\xff\n/", 5000)) })},
		{"an empty trailer", bare(func(r *Record) { r.Trailer = http.Header{} })},
		{"a header of 127 bytes and more", bare(func(r *Record) { r.Header["A"] = []string{strings.Repeat("x", 127)} })},
		{"a header of 64 KB and more", bare(func(r *Record) { r.Header["A"] = []string{strings.Repeat("x", 1<<16)} })},
		{"many names and values", bare(func(r *Record) {
			for i := range 300 {
				r.Header[fmt.Sprint("N", i)] = slices.Repeat([]string{"v"}, i%4+1)
			}
		})},
		{"names without a value", bare(func(r *Record) { r.Selecting = http.Header{"A": nil, "B": nil} })},
		{"an empty name", bare(func(r *Record) { r.Header[""] = []string{"v"} })},
		{"negative numbers", bare(func(r *Record) { r.Length, r.TTL, r.Status = math.MinInt64, -1, -5 })},
		{"large numbers", bare(func(r *Record) { r.Length, r.Size = math.MaxInt64, math.MaxInt64 })},
		{"times before 1970", bare(func(r *Record) { r.Received = time.Unix(-1, 999_999_999) })},
		{"the first second of 1970", bare(func(r *Record) { r.Received = time.Unix(0, 0) })},
		{"times far away", bare(func(r *Record) {
			r.KeepUntil, r.FreshUntil = time.Unix(lastSecond, 999_999_999), time.Unix(firstSecond, 1)
		})},
		{"a connection of zeros", bare(func(r *Record) { r.TLS = &Connection{} })},
		{"a connection of the largest numbers", bare(func(r *Record) { r.TLS = &Connection{Version: 0xffff, CipherSuite: 0xffff} })},
		{"an empty certificate", bare(func(r *Record) { r.TLS = &Connection{Certificates: [][]byte{{}}} })},
		{"empty tags", bare(func(r *Record) { r.Tags = []string{"", "", "x", ""} })},
	} {
		got, err := DecodeHead(AppendHead(nil, c.r))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if !reflect.DeepEqual(got, c.r) {
			t.Errorf("%s:\n got %+v\nwant %+v", c.name, got, c.r)
		}
		prefix := []byte("before")
		if b := AppendHead(prefix, c.r); string(b[:6]) != "before" {
			t.Errorf("%s: AppendHead changes what was there", c.name)
		} else if _, err := DecodeHead(b[6:]); err != nil {
			t.Errorf("%s, appended: %v", c.name, err)
		}
	}
}

func TestZeroValuesAreLeftOut(t *testing.T) {
	want := seal([]byte("LRD\x01" + "\x01\x01k" + "\x02\x10" + strings.Repeat("\x00", 16) + "crc!"))
	if got := AppendHead(nil, &Record{Key: "k"}); !slices.Equal(got, want) {
		t.Errorf("a key and an id: %q, want %q", got, want)
	}
}

func TestBodyIsNotPartOfTheHead(t *testing.T) {
	r := full()
	r.Body = []byte("body")
	if got, err := DecodeHead(AppendHead(nil, r)); err != nil || got.Body != nil {
		t.Errorf("%v, %v", got, err)
	}
}

func TestDecodeHeadKeepsNothingOfItsArgument(t *testing.T) {
	b := AppendHead(nil, full())
	got, err := DecodeHead(b)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	if !reflect.DeepEqual(got, full()) {
		t.Errorf("the record changes with the bytes that it was decoded from: %+v", got)
	}
}

func TestHeadersOfOneRecordDoNotShareRoom(t *testing.T) {
	r := &Record{Key: "k", Head: Head{Header: http.Header{"A": {"1"}, "B": {"2"}, "C": {"3"}}}}
	got, err := DecodeHead(AppendHead(nil, r))
	if err != nil {
		t.Fatal(err)
	}
	for name := range got.Header {
		_ = append(got.Header[name], "more")
	}
	if !maps.EqualFunc(got.Header, r.Header, slices.Equal) {
		t.Errorf("after appending to each value: %v", got.Header)
	}
}

// The samples were written by the release that brought in their version. They are never written again.
func TestSamplesDecodeForEver(t *testing.T) {
	b, err := os.ReadFile("testdata/head-v1")
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeHead(b)
	if err != nil {
		t.Fatal(err)
	}
	if want := full(); !reflect.DeepEqual(got, want) {
		t.Errorf("version 1:\n got %+v\nwant %+v", got, want)
	}
}

func TestExampleInTheDocumentation(t *testing.T) {
	doc, err := os.ReadFile("../docs/format.md")
	if err != nil {
		t.Fatal(err)
	}
	var digits strings.Builder
	for _, line := range regexp.MustCompile(`(?m)^    ((?:[0-9a-f]{2} )+) *\|`).FindAllSubmatch(doc, -1) {
		digits.WriteString(strings.ReplaceAll(string(line[1]), " ", ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeHead(b)
	if err != nil {
		t.Fatalf("the example of %d bytes: %v", len(b), err)
	}
	want := &Record{Key: "k", ID: ID{0x01, 0x90, 15: 0x07}, Size: 5, Tags: []string{"red"}}
	want.Status, want.Length, want.Header, want.Received = 200, -1, http.Header{"Vary": {"A", "B"}}, time.Unix(1_700_000_000, 0)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the example:\n got %+v\nwant %+v", got, want)
	}
}

// seal puts the right checksum at the end of b.
func seal(b []byte) []byte {
	end := len(b) - 4
	return binary.BigEndian.AppendUint32(b[:end:end], Checksum(0, b[:end]))
}

func TestEveryAlteredByteIsNoticed(t *testing.T) {
	good := AppendHead(nil, full())
	corrupt := func(what string, b []byte) {
		if r, err := DecodeHead(b); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v, %v; want ErrCorrupt", what, r, err)
		}
	}
	for i := range good {
		for bit := range 8 {
			b := slices.Clone(good)
			b[i] ^= 1 << bit
			corrupt(fmt.Sprintf("bit %d of byte %d turned", bit, i), b)
		}
		corrupt(fmt.Sprintf("cut off at %d", i), good[:i])
		corrupt(fmt.Sprintf("byte %d lost", i), slices.Delete(slices.Clone(good), i, i+1))
		corrupt(fmt.Sprintf("zero from byte %d on", i), append(slices.Clone(good[:i]), make([]byte, len(good)-i)...))
	}
	corrupt("a byte more", append(slices.Clone(good), 0))
	corrupt("twice", append(slices.Clone(good), good...))
	corrupt("nothing", nil)
}

func TestMalformedFieldsAreNoticed(t *testing.T) {
	head := func(fields string) []byte {
		return seal([]byte(magic + string(rune(version)) + fields + "\x01\x01k" + "crc!"))
	}
	if r, err := DecodeHead(head("")); err != nil || r.Header == nil {
		t.Fatalf("a key alone: %+v, %v; want a header that can be set", r, err)
	}
	moment := func(sec int64) string {
		b := binary.AppendVarint(binary.AppendVarint(nil, sec), 0)
		return "\x0d" + string(rune(len(b))) + string(b)
	}
	for _, year := range []int{1, 9999} {
		want := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
		if r, err := DecodeHead(head(moment(want.Unix()))); err != nil || !r.Requested.Equal(want) {
			t.Errorf("the year %d: %+v, %v", year, r, err)
		}
	}
	for _, c := range []struct{ name, fields string }{
		{"a time before all years", moment(time.Date(0, 12, 31, 23, 59, 59, 0, time.UTC).Unix())},
		{"a year of five digits", moment(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).Unix())},
		{"a length past the end", "\x03\x7fGET"},
		{"a length past the end, behind a key", "\x01\x01k\x03\x7fGET"},
		{"a length without end", "\x03" + strings.Repeat("\xff", 11)},
		{"a short id", "\x02\x03abc"},
		{"a long id", "\x02\x11" + strings.Repeat("a", 17)},
		{"a number with more behind it", "\x05\x02\x01\x01"},
		{"a number that is cut off", "\x05\x01\x80"},
		{"a number without end", "\x05\x0a" + strings.Repeat("\x80", 10)},
		{"a number of 11 bytes", "\x05\x0b" + strings.Repeat("\x80", 10) + "\x01"},
		{"no number", "\x05\x00"},
		{"a time without nanoseconds", "\x0d\x01\x02"},
		{"a time of 10⁹ nanoseconds", "\x0d\x06\x02\x80\xa8\xd6\xb9\x07"},
		{"a time of -1 nanosecond", "\x0d\x02\x02\x01"},
		{"a header of more names than bytes", "\x07\x02\x00\x7f"},
		{"a header with too few values", "\x07\x06\x02\x01\x01A\x01\x00"},
		{"a header with too many values", "\x07\x07\x01\x01\x01A\x02\x00\x00"},
		{"a header with a name twice", "\x07\x0a\x02\x02\x01A\x01\x00\x01A\x01\x00"},
		{"a connection that is cut off", "\x0c\x01\x01"},
		{"a connection of version 65536", "\x0c\x07\x80\x80\x04\x00\x00\x00\x00"},
		{"a connection of cipher suite 65536", "\x0c\x07\x00\x80\x80\x04\x00\x00\x00"},
		{"a negative size", "\x12\x01\x01"},
	} {
		if r, err := DecodeHead(head(c.fields)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %+v, %v; want ErrCorrupt", c.name, r, err)
		}
	}
	if _, err := DecodeHead(seal([]byte("LRE\x01\x01\x01kcrc!"))); !errors.Is(err, ErrCorrupt) {
		t.Errorf("other letters in front: %v, want ErrCorrupt", err)
	}
	if _, err := DecodeHead(seal([]byte(magic + "\x02\x01\x01kcrc!"))); !errors.Is(err, ErrCorrupt) {
		t.Errorf("version 2: %v, want ErrCorrupt", err)
	}
	if _, err := DecodeHead(seal([]byte(magic + "\x01crc!"))); !errors.Is(err, ErrCorrupt) {
		t.Errorf("no key: %v, want ErrCorrupt", err)
	}
}

func TestHostileHeadsTakeLittleMemory(t *testing.T) {
	const size = 1 << 20
	hostile := map[string][]byte{}
	for what, counts := range map[string][2]uint64{"names": {0, size - 20}, "values": {size - 20, 0}, "half of each": {size / 3, size / 3}, "values of one name": {size - 20, 1}} {
		fields := binary.AppendUvarint([]byte{tagHeader}, size)
		at := len(fields)
		fields = binary.AppendUvarint(fields, counts[0])
		fields = binary.AppendUvarint(fields, counts[1])
		if counts[1] == 1 {
			fields = binary.AppendUvarint(append(fields, 0), counts[0])
		}
		hostile[what] = append(fields, make([]byte, at+size-len(fields))...)
	}
	fields := binary.AppendUvarint([]byte{tagTLS}, size)
	fields = binary.AppendUvarint(append(fields, 0, 0, 0, 0), size-8)
	hostile["certificates"] = append(fields, make([]byte, size-7)...)
	for what, fields := range hostile {
		head := seal(slices.Concat([]byte(magic), []byte{version}, fields, []byte("crc!")))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := DecodeHead(head)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 27*size || !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %d times as much as it is long, %v", what, n/size, err)
		}
	}
}

func TestNoHeadIsStoredThatIsTooLongToBeRead(t *testing.T) {
	r := &Record{Key: "k"}
	r.URL = strings.Repeat("u", maxEncoded-100)
	r.URL += strings.Repeat("u", maxEncoded-len(AppendHead(nil, r)))
	longest, err := EncodeHead([]byte("before"), r)
	if err != nil || len(longest) != len("before")+maxEncoded {
		t.Fatalf("%d bytes, %v", len(longest), err)
	}
	if _, err := DecodeHead(longest[len("before"):]); err != nil {
		t.Errorf("the longest head: %v", err)
	}
	r.URL += "u"
	if b, err := EncodeHead([]byte("before"), r); !errors.Is(err, ErrTooLarge) || string(b) != "before" {
		t.Errorf("a longer one: %d bytes, %v; want ErrTooLarge", len(b), err)
	}
	if _, err := DecodeHead(AppendHead(nil, r)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a longer one is read: %v", err)
	}
}

func TestUnknownFieldsAreSkipped(t *testing.T) {
	known := AppendHead(nil, full())
	fields := string(known[4 : len(known)-4])
	unknown := "\xc8\x03abc" + "\xff\x00" + "\xc8\x80\x01" + strings.Repeat("x", 128)
	for _, c := range []struct{ name, fields string }{
		{"in front", unknown + fields},
		{"behind", fields + unknown},
	} {
		got, err := DecodeHead(seal([]byte(magic + "\x01" + c.fields + "crc!")))
		if err != nil || !reflect.DeepEqual(got, full()) {
			t.Errorf("unknown fields %s: %+v, %v", c.name, got, err)
		}
	}
}

// FuzzDecodeHead takes the fields alone and adds what is around them, so that what it makes gets past the checksum.
func FuzzDecodeHead(f *testing.F) {
	for _, r := range []*Record{full(), {Key: "k"}} {
		b := AppendHead(nil, r)
		f.Add(b[4 : len(b)-4])
	}
	f.Fuzz(func(t *testing.T, fields []byte) {
		if _, err := DecodeHead(fields); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatalf("bare: %v", err)
		}
		r, err := DecodeHead(seal(slices.Concat([]byte(magic), []byte{version}, fields, make([]byte, 4))))
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		again, err := DecodeHead(AppendHead(nil, r))
		if err != nil {
			t.Fatalf("what was decoded does not decode again: %v\n%+v", err, r)
		}
		if !reflect.DeepEqual(again, r) {
			t.Fatalf("decoded, encoded, decoded:\n got %+v\nwant %+v", again, r)
		}
	})
}

func BenchmarkHead(b *testing.B) {
	r := full()
	head := AppendHead(nil, r)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			head = AppendHead(head[:0], r)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := DecodeHead(head); err != nil {
				b.Fatal(err)
			}
		}
	})
}
