package redis

import (
	"bytes"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
)

// TestReleaseIsNotSentAgain loses the answer to it: what is there afterwards is another's.
func TestReleaseIsNotSentAgain(t *testing.T) {
	url := env(t, "REDIS_URL")
	o := &Options{Prefix: newPrefix(t, url)}
	next, _ := openTable(t, url, o)
	defer next.Close()
	lease := func(s *Store, holder store.ID, want bool) {
		t.Helper()
		held, err := s.Lease(background, "key", holder, time.Minute)
		if err != nil || held != want {
			t.Errorf("lease for %v: %v, %v, want %v", holder[0], held, err, want)
		}
	}
	lease(next, store.ID{2}, true)
	if err := next.Release(background, "key", store.ID{2}); err != nil { // the server knows the script from now on
		t.Fatal(err)
	}
	_, addr, _ := strings.Cut(url, "//")
	addr, db, _ := strings.Cut(addr, "/")
	first, _ := openTable(t, "redis://"+cut(t, addr, dropRow.sha1, func() { lease(next, store.ID{2}, true) })+"/"+db, o)
	defer first.Close()
	lease(first, store.ID{1}, true)
	if err := first.Release(background, "key", store.ID{1}); err == nil {
		t.Error("Release does not tell that its answer was lost")
	}
	lease(next, store.ID{3}, false)
}

// cut passes connections on to the server at addr. The first that asks with word is closed in place of the answer,
// after do.
func cut(t *testing.T, addr, word string, do func()) (at string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	var done atomic.Bool
	pass := func(from, to net.Conn, each func([]byte) (more bool)) {
		defer from.Close()
		defer to.Close()
		for b := make([]byte, 64<<10); ; {
			n, err := from.Read(b)
			if err != nil || !each(b[:n]) {
				return
			}
			to.Write(b[:n])
		}
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s, err := net.Dial("tcp", addr)
			if err != nil {
				c.Close()
				continue
			}
			var asked atomic.Bool
			go pass(c, s, func(b []byte) bool {
				if bytes.Contains(b, []byte(word)) {
					asked.Store(true)
				}
				return true
			})
			go pass(s, c, func([]byte) bool {
				if !asked.Load() || !done.CompareAndSwap(false, true) {
					return true
				}
				do()
				return false
			})
		}
	}()
	return l.Addr().String()
}
