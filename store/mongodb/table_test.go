package mongodb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/chunked"
)

func tableOf(db *mongo.Database) *table { return newTable(db, db.Name(), nil) }

func put(t *testing.T, tb *table, rows ...chunked.Row) {
	t.Helper()
	for _, r := range rows {
		if err := tb.Put(t.Context(), r, chunked.Always); err != nil {
			t.Fatal(err)
		}
	}
}

// rows returns what Get finds, as item=value, sorted.
func rows(t *testing.T, tb *table, group string, items ...string) string {
	t.Helper()
	found, err := tb.Get(t.Context(), group, items...)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, r := range found {
		all = append(all, r.Item+"="+string(r.Value))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func row(group, item, value string) chunked.Row {
	return chunked.Row{Group: group, Item: item, Value: []byte(value)}
}

func TestRowsComeBackAsTheyWerePut(t *testing.T) {
	tb := tableOf(database(t))
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for kind, value := range map[string][]byte{
		"r": every,
		"b": bytes.Repeat(every, (defaultChunk+4)/256),
		"i": nil,
		"l": {0},
	} {
		group, item := kind+"/"+strings.Repeat("x", 118), strings.Repeat("y/", 50)
		put(t, tb, chunked.Row{Group: group, Item: item, Value: []byte("before")}, chunked.Row{Group: group, Item: item, Value: value})
		found, err := tb.Get(t.Context(), group)
		if err != nil || len(found) != 1 || found[0].Item != item || !bytes.Equal(found[0].Value, value) {
			t.Errorf("%s: %d rows, %v; want the row that was put last", kind, len(found), err)
		}
	}
}

func TestLargestRow(t *testing.T) {
	tb := tableOf(database(t))
	value := bytes.Repeat([]byte("x"), maxChunk+4)
	put(t, tb, chunked.Row{Group: "b/x", Item: "00000000", Value: value, Expires: time.Now()})
	found, err := tb.Get(t.Context(), "b/x", "00000000")
	if err != nil || len(found) != 1 || !bytes.Equal(found[0].Value, value) {
		t.Errorf("%d rows, %v; want the row of %d bytes", len(found), err, len(value))
	}
}

func TestWhatNoDocumentHoldsIsTooLarge(t *testing.T) {
	never, err := mongo.Connect(options.Client().ApplyURI("mongodb://127.0.0.1:1")) // it is not asked
	if err != nil {
		t.Fatal(err)
	}
	defer never.Disconnect(context.Background())
	row := chunked.Row{Group: "r/g", Item: "i", Value: make([]byte, 16<<20)}
	if err := tableOf(never.Database("x")).Put(t.Context(), row, chunked.Always); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("got %v, want %v", err, store.ErrTooLarge)
	}
}

func TestConditions(t *testing.T) {
	const absent, ended, lives, endless = "absent", "ended", "lives", "endless"
	for _, c := range []struct {
		before string
		when   chunked.When
		want   error
	}{
		{absent, chunked.Always, nil},
		{endless, chunked.Always, nil},
		{absent, chunked.IfPresent, store.ErrNotFound},
		{ended, chunked.IfPresent, nil},
		{endless, chunked.IfPresent, nil},
		{absent, chunked.IfAbsent, nil},
		{ended, chunked.IfAbsent, nil},
		{lives, chunked.IfAbsent, chunked.ErrPresent},
		{endless, chunked.IfAbsent, chunked.ErrPresent},
	} {
		name := map[chunked.When]string{chunked.Always: "always", chunked.IfPresent: "if present", chunked.IfAbsent: "if absent"}[c.when]
		t.Run(c.before+" "+name, func(t *testing.T) {
			tb := tableOf(database(t))
			old := row("l/x", "l", "old")
			switch c.before {
			case ended:
				old.Expires = time.Now().Add(-time.Second)
			case lives:
				old.Expires = time.Now().Add(time.Hour)
			}
			want := "l=new"
			if c.before != absent {
				put(t, tb, old)
			}
			if c.want != nil {
				want = rows(t, tb, "l/x")
			}
			if err := tb.Put(t.Context(), row("l/x", "l", "new"), c.when); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if got := rows(t, tb, "l/x"); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}

func TestOneOfManyFindsItAbsent(t *testing.T) {
	tb := tableOf(database(t))
	for _, expires := range []time.Time{time.Now().Add(-time.Hour), time.Now().Add(time.Hour)} {
		var won atomic.Int32
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				err := tb.Put(t.Context(), chunked.Row{Group: "l/x", Item: "l", Expires: time.Now().Add(time.Hour)}, chunked.IfAbsent)
				if err == nil {
					won.Add(1)
				} else if !errors.Is(err, chunked.ErrPresent) {
					t.Error(err)
				}
			})
		}
		if all.Wait(); won.Load() != 1 {
			t.Errorf("%d found the row absent, want 1", won.Load())
		}
		put(t, tb, chunked.Row{Group: "l/x", Item: "l", Expires: expires})
	}
}

func TestGroupsAreKeptApart(t *testing.T) {
	tb := tableOf(database(t))
	put(t, tb,
		row("r/a", "1", "one"), row("r/a", "1/2", "half"), row("r/a", "2", "two"),
		row("r/a/1", "2", "slash"), row("r/a0", "1", "digit"), row("r/aa", "1", "letter"), row("r/", "a", "none"))
	for _, c := range []struct {
		group string
		items []string
		want  string
	}{
		{"r/a", nil, "1/2=half 1=one 2=two"},
		{"r/a", []string{"1"}, "1=one"},
		{"r/a", []string{"3"}, ""},
		{"r/a", []string{"1", "2", "3"}, "1=one 2=two"},
		{"r/a/1", nil, "2=slash"},
		{"r/b", nil, ""},
	} {
		if got := rows(t, tb, c.group, c.items...); got != c.want {
			t.Errorf("%s %q: %q, want %q", c.group, c.items, got, c.want)
		}
	}
	for _, c := range []struct {
		items []string
		left  string
	}{
		{[]string{"3"}, "1/2=half 1=one 2=two"},
		{[]string{"1", "3"}, "1/2=half 2=two"},
		{[]string{"2"}, "1/2=half"},
		{nil, ""},
		{nil, ""},
	} {
		if err := tb.Delete(t.Context(), "r/a", c.items...); err != nil {
			t.Error(err)
		}
		if got := rows(t, tb, "r/a"); got != c.left {
			t.Errorf("after Delete of %q: %q, want %q", c.items, got, c.left)
		}
	}
	for group, want := range map[string]string{"r/a/1": "2=slash", "r/a0": "1=digit", "r/aa": "1=letter", "r/": "a=none"} {
		if got := rows(t, tb, group); got != want {
			t.Errorf("%s after Delete of r/a: %q, want %q", group, got, want)
		}
	}
}

func TestGroups(t *testing.T) {
	tb := tableOf(database(t))
	var want []string
	insert := func(group string, n int) {
		docs := make([]document, n) // at once, for the sake of time
		for i := range docs {
			docs[i].ID = fmt.Sprintf("%s:%08d", group, i)
		}
		if _, err := tb.collections['i'].InsertMany(t.Context(), docs); err != nil {
			t.Fatal(err)
		}
		want = append(want, group)
	}
	insert("i/t/few/0", 1)
	insert("i/t/many/0", batch+batch/2) // more than come in one go
	insert("i/t/many/1", 2)
	insert("i/u/x", 3)
	groups := func(prefix string, enough int) (got []string) {
		for group, err := range tb.Groups(t.Context(), prefix) {
			if err != nil {
				t.Fatal(err)
			}
			if rows(t, tb, group, "00000000") == "" { // the table can be used meanwhile
				t.Errorf("the group %s is empty", group)
			}
			if got = append(got, group); len(got) == enough {
				break
			}
		}
		slices.Sort(got)
		return slices.Compact(got)
	}
	for prefix, want := range map[string][]string{
		"i/":       want,
		"i/t/":     want[:3],
		"i/t/many": want[1:3],
		"i/t/x":    nil,
		"r/":       nil,
	} {
		if got := groups(prefix, -1); !slices.Equal(got, want) {
			t.Errorf("Groups of %s: %q, want %q", prefix, got, want)
		}
	}
	if got := groups("i/", 2); len(got) != 2 {
		t.Errorf("Groups, broken off after 2: %q", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for group, err := range tb.Groups(ctx, "i/") {
		if group != "" || !errors.Is(err, context.Canceled) {
			t.Errorf("Groups with an ended context: %q, %v", group, err)
		}
	}
}

func TestExpire(t *testing.T) {
	tb := tableOf(database(t))
	now := time.Now().Truncate(time.Millisecond)
	for _, kind := range []string{"r", "b", "i", "l"} {
		for item, expires := range map[string]time.Time{"before": now.Add(-time.Millisecond), "now": now, "after": now.Add(time.Hour), "never": {}} {
			put(t, tb, chunked.Row{Group: kind + "/x", Item: item, Expires: expires})
		}
	}
	if err := tb.Expire(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"r", "b", "i", "l"} {
		if got, want := rows(t, tb, kind+"/x"), "after= never= now="; got != want {
			t.Errorf("%s after Expire: %q, want %q", kind, got, want)
		}
	}
}

// A server that has TTL indexes is given one; one that refuses it is not asked again.
func TestTTLIndex(t *testing.T) {
	db := database(t)
	tb := tableOf(db)
	put(t, tb, row("r/x", "1", "one"))
	if !tb.collections['r'].indexed.Load() || tb.collections['b'].indexed.Load() {
		t.Error("the index was not made, or refused, with the first write")
	}
	specs, err := db.Collection("larder.records").Indexes().ListSpecifications(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ttl := slices.ContainsFunc(specs, func(s mongo.IndexSpecification) bool {
		return s.ExpireAfterSeconds != nil && *s.ExpireAfterSeconds == 0 && s.KeysDocument.Lookup("expires").AsInt64() == 1
	})
	if ttl == ferret {
		t.Errorf("TTL index: %v", ttl)
	}
}

// The package comment says what a document is.
func TestDocument(t *testing.T) {
	// The user's own way of encoding is not for our documents.
	reg := bson.NewRegistry()
	reg.RegisterTypeEncoder(reflect.TypeFor[time.Time](), bson.ValueEncoderFunc(
		func(_ bson.EncodeContext, w bson.ValueWriter, _ reflect.Value) error { return w.WriteString("a time") }))
	reg.RegisterTypeEncoder(reflect.TypeFor[[]byte](), bson.ValueEncoderFunc(
		func(_ bson.EncodeContext, w bson.ValueWriter, _ reflect.Value) error { return w.WriteString("bytes") }))
	db := database(t)
	tb := tableOf(db.Client().Database(db.Name(), options.Database().SetRegistry(reg)))

	until := time.UnixMilli(4102444800_000)
	put(t, tb, chunked.Row{Group: "r/x", Item: "1", Value: []byte{0, 255}, Expires: until}, row("i/x", "1", ""))
	for collection, want := range map[string]bson.D{
		"larder.records": {{Key: "_id", Value: "r/x:1"}, {Key: "value", Value: bson.Binary{Data: []byte{0, 255}}}, {Key: "expires", Value: bson.NewDateTimeFromTime(until)}},
		"larder.index":   {{Key: "_id", Value: "i/x:1"}},
	} {
		var got bson.D
		if err := db.Collection(collection).FindOne(t.Context(), bson.D{}).Decode(&got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", collection, got, want)
		}
	}
}

func TestUnacknowledgedWriteIsAnError(t *testing.T) {
	db := database(t)
	client, err := mongo.Connect(options.Client().ApplyURI(serverURI(t, "")), options.Client().SetWriteConcern(writeconcern.Unacknowledged()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Disconnect(t.Context())
	tb := tableOf(client.Database(db.Name()))
	if err := tb.Put(t.Context(), row("r/x", "1", "one"), chunked.Always); !errors.Is(err, errUnacknowledged) {
		t.Errorf("Put with w=0: %v", err)
	}
}

func TestEndedContext(t *testing.T) {
	tb := tableOf(database(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, got := tb.Get(ctx, "r/x")
	for what, err := range map[string]error{
		"Put":    tb.Put(ctx, row("r/x", "1", "one"), chunked.Always),
		"Get":    got,
		"Delete": tb.Delete(ctx, "r/x"),
		"Expire": tb.Expire(ctx, time.Now()),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with an ended context: %v", what, err)
		}
	}
}

// hung returns the address of a server that answers until it is asked for the rest of a listing, and to nobody after
// that.
func hung(t *testing.T) string {
	hosts, _, err := address(serverURI(t, "larder"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var hangs atomic.Bool
	var running sync.WaitGroup
	pass := func(from, to net.Conn) {
		defer to.Close()
		b := make([]byte, 64<<10)
		for {
			n, err := from.Read(b)
			if err != nil {
				return
			}
			if bytes.Contains(b[:n], []byte("getMore")) {
				hangs.Store(true)
			}
			if !hangs.Load() {
				to.Write(b[:n])
			}
		}
	}
	running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", strings.Split(hosts, ",")[0])
			if err != nil {
				client.Close()
				continue
			}
			running.Go(func() { pass(client, server) })
			running.Go(func() { pass(server, client) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		running.Wait()
	})
	return l.Addr().String()
}

func TestAListingEndsWithItsContextThoughTheServerHangs(t *testing.T) {
	db := database(t)
	var docs []any
	for i := range batch + 1 {
		docs = append(docs, document{ID: fmt.Sprintf("i/u/0:%06d", i)})
	}
	if _, err := db.Collection("larder.index").InsertMany(t.Context(), docs); err != nil {
		t.Fatal(err)
	}
	for what, list := range map[string]func(*table, context.Context) error{
		"Get": func(tb *table, ctx context.Context) error {
			_, err := tb.Get(ctx, "i/u/0")
			return err
		},
		"Groups": func(tb *table, ctx context.Context) (last error) {
			for _, err := range tb.Groups(ctx, "i/") {
				last = err
			}
			return last
		},
	} {
		client, err := mongo.Connect(options.Client().ApplyURI("mongodb://" + hung(t) + "/?directConnection=true"))
		if err != nil {
			t.Fatal(err)
		}
		tb := tableOf(client.Database(db.Name()))
		var several sync.WaitGroup // so that there are connections that nobody uses
		for range 3 {
			several.Go(func() { tb.Get(t.Context(), "l/0", "l") })
		}
		several.Wait()
		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if err := list(tb, ctx); err == nil {
			t.Errorf("%s: no error, though the server hangs", what)
		}
		cancel()
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("%s took %v, and its context 1 s", what, took)
		}
		ended, cancel := context.WithTimeout(t.Context(), 0)
		client.Disconnect(ended)
		cancel()
	}
}
