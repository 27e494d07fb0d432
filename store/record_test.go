package store

import (
	"crypto/tls"
	"crypto/x509"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestIDsSortByTime(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
	var ids []ID
	for i := range 1000 {
		ids = append(ids, NewID(start.Add(time.Duration(i)*time.Millisecond)))
	}
	if !slices.IsSortedFunc(ids, ID.Compare) {
		t.Error("ids of later times do not sort later")
	}
	if ids[0].Compare(ids[1]) >= 0 || ids[1].Compare(ids[0]) <= 0 {
		t.Error("ids of two times do not differ in order")
	}
	if !slices.IsSortedFunc(ids, func(a, b ID) int { return strings.Compare(a.String(), b.String()) }) {
		t.Error("strings of later ids do not sort later")
	}
	for i, id := range ids {
		if got, want := id.Time(), start.Add(time.Duration(i)*time.Millisecond); !got.Equal(want) {
			t.Fatalf("Time: %v, want %v", got, want)
		}
	}
}

func TestIDsOfOneMomentDiffer(t *testing.T) {
	seen := map[ID]bool{}
	for range 10_000 {
		id := NewID(time.UnixMilli(1_700_000_000_000))
		if seen[id] {
			t.Fatalf("%v comes twice", id)
		}
		seen[id] = true
	}
}

func TestParseID(t *testing.T) {
	id := NewID(time.Now())
	if got, err := ParseID(id.String()); got != id || err != nil {
		t.Errorf("ParseID of String: %v, %v; want %v", got, err, id)
	}
	for _, s := range []string{"", "0", strings.Repeat("0", 31), strings.Repeat("0", 33), strings.Repeat("0", 31) + "g", strings.Repeat("é", 16)} {
		if _, err := ParseID(s); err == nil {
			t.Errorf("ParseID(%q): no error", s)
		}
	}
}

func TestCloneCopiesEveryField(t *testing.T) {
	r := full()
	r.Body = []byte("body")
	if got := r.Clone(); !reflect.DeepEqual(got, r) {
		t.Errorf("Clone:\n got %+v\nwant %+v", got, r)
	}
}

func TestDerivedIsComputedOnceAndNotCloned(t *testing.T) {
	r := full()
	calls := 0
	compute := func(r *Record) any { calls++; return r.Status + calls }
	for range 3 {
		if got := r.Derived(compute); got != 201 {
			t.Errorf("Derived: %v, want 201", got)
		}
	}
	if got := r.Clone().Derived(compute); got != 202 {
		t.Errorf("Derived of a clone: %v, want 202, computed anew", got)
	}
}

func TestNewConnection(t *testing.T) {
	if c := NewConnection(nil); c != nil {
		t.Errorf("of nil: %+v", c)
	}
	got := NewConnection(&tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256, ServerName: "example.com",
		NegotiatedProtocol: "h2", PeerCertificates: []*x509.Certificate{{Raw: []byte("leaf")}, {Raw: []byte("root")}}})
	want := &Connection{Version: 0x304, CipherSuite: 0x1301, ServerName: "example.com", Protocol: "h2", Certificates: [][]byte{[]byte("leaf"), []byte("root")}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestChecksumContinues(t *testing.T) {
	if got := Checksum(0, []byte("123456789")); got != 0xe3069283 {
		t.Errorf("CRC-32C of 123456789: %08x, want e3069283", got)
	}
	if got := Checksum(Checksum(0, []byte("1234")), []byte("56789")); got != 0xe3069283 {
		t.Errorf("in two parts: %08x, want e3069283", got)
	}
}
