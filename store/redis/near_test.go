package redis

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
)

// nearTable opens a table that keeps records near, on a server of its own that counts.
func nearTable(t *testing.T, s *server, bytes int64) *table {
	t.Helper()
	st, tab := openTable(t, s.url(), &Options{Near: bytes})
	t.Cleanup(func() { st.Close() })
	return tab
}

var hgetallCalls = regexp.MustCompile(`cmdstat_hgetall:calls=(\d+)`)

// asked returns how often the server was asked for records.
func asked(t *testing.T, c rueidis.Client) int {
	t.Helper()
	stats, err := c.Do(context.Background(), c.B().Info().Section("commandstats").Build()).ToString()
	if err != nil {
		t.Fatal(err)
	}
	m := hgetallCalls.FindStringSubmatch(stats)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

func TestNearRecordsAreNotAskedFor(t *testing.T) {
	s := serve(t)
	tab, admin := nearTable(t, s, 1<<20), s.admin()
	put(t, tab, "r/0f", "a", "1", time.Time{})
	wantContents(t, tab, "r/0f", "a=1")
	// The server tells of the put as well, and may do so after the first read.
	eventually(t, "100 reads ask the server nothing", func() bool {
		before := asked(t, admin)
		for range 100 {
			wantContents(t, tab, "r/0f", "a=1")
		}
		return asked(t, admin) == before
	})
	put(t, tab, "r/0f", "b", "2", time.Time{}) // one's own changes are seen at once
	wantContents(t, tab, "r/0f", "a=1 b=2")
	if err := tab.Delete(background, "r/0f", "a"); err != nil {
		t.Fatal(err)
	}
	wantContents(t, tab, "r/0f", "b=2")
}

func TestNearRecordsFollowTheServer(t *testing.T) {
	s := serve(t)
	tab, admin := nearTable(t, s, 1<<20), s.admin()
	other, otherTable := openTable(t, s.url(), nil)
	defer other.Close()
	becomes := func(want string) {
		t.Helper()
		eventually(t, "what is near becomes "+strconv.Quote(want), func() bool { return contents(t, tab, "r/0f") == want })
	}
	put(t, otherTable, "r/0f", "a", "1", time.Time{})
	becomes("a=1")
	put(t, otherTable, "r/0f", "a", "2", time.Time{})
	becomes("a=2")
	put(t, otherTable, "r/0f", "a", "3", time.Now().Add(100*time.Millisecond)) // shortens nothing, so:
	becomes("a=3")
	do(t, admin, "PEXPIRE", tab.key("r/0f"), "100")
	becomes("")
	put(t, otherTable, "r/0f", "a", "4", time.Time{})
	becomes("a=4")
	command(t, admin, "FLUSHDB")
	becomes("")
	put(t, otherTable, "r/0f", "a", "5", time.Time{})
	becomes("a=5")

	// A change that is not told of, since the connection is gone, is seen as well.
	command(t, admin, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	do(t, admin, "HSET", tab.key("r/0f"), "a", seal(0, []byte("6")))
	becomes("a=6")
}

func TestOwnChangesAreSeenAtOnce(t *testing.T) {
	s := serve(t)
	tab := nearTable(t, s, 1<<20)
	ctx, cancel := context.WithCancel(background)
	var readers sync.WaitGroup
	for range 8 { // whose reads are under way all the time
		readers.Go(func() {
			for ctx.Err() == nil {
				tab.Get(ctx, "r/0f")
			}
		})
	}
	for i := range 300 {
		value := fmt.Sprint(i)
		put(t, tab, "r/0f", "a", value, time.Time{})
		if got := contents(t, tab, "r/0f"); got != "a="+value {
			t.Errorf("after a=%s was put, there is %s", value, got)
			break
		}
	}
	cancel()
	readers.Wait()
}

func TestNearIsBounded(t *testing.T) {
	s := serve(t)
	tab := nearTable(t, s, 100<<10)
	for i := range 100 {
		group := fmt.Sprintf("r/%02x", i)
		put(t, tab, group, "a", strings.Repeat("x", 5000), time.Time{})
		tab.Get(background, group)
		tab.Get(background, "r/00") // which stays, since it is used
	}
	put(t, tab, "r/large", "a", strings.Repeat("x", 200<<10), time.Time{})
	tab.Get(background, "r/large")
	n := tab.near
	eventually(t, "what was used last is kept", func() bool { // the server tells of each put, maybe after it was read
		tab.Get(background, "r/62")
		tab.Get(background, "r/00")
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.entries[tab.key("r/00")] != nil && n.entries[tab.key("r/62")] != nil
	})
	n.mu.Lock()
	defer n.mu.Unlock()
	var sum int64
	for at := n.used.Front(); at != nil; at = at.Next() {
		sum += at.Value.(*entry).size
	}
	if n.size > n.max || n.size != sum || len(n.entries) != n.used.Len() || len(n.reads) != 0 {
		t.Errorf("%d bytes of %d, really %d, %d entries, %d in order, %d under way", n.size, n.max, sum, len(n.entries), n.used.Len(), len(n.reads))
	}
}

func TestNearWithoutTracking(t *testing.T) {
	s := serve(t, "--rename-command", "CLIENT", "")
	st, err := Open(background, s.url(), &Options{Near: 1 << 20})
	if err == nil {
		st.Close()
	}
	wantSentence(t, err, "Near must be 0")
}
