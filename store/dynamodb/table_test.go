package dynamodb

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	driver "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/chunked"
)

func put(t testing.TB, tb *table, r chunked.Row) {
	t.Helper()
	if err := tb.Put(ctx, r, chunked.Always); err != nil {
		t.Fatal(err)
	}
}

// get returns the values of the rows by item.
func get(t testing.TB, tb *table, group string, items ...string) map[string]string {
	t.Helper()
	rows, err := tb.Get(ctx, group, items...)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, r := range rows {
		if _, again := got[r.Item]; again {
			t.Errorf("item %q comes twice", r.Item)
		}
		got[r.Item] = string(r.Value)
	}
	return got
}

func TestLayout(t *testing.T) {
	expires := time.UnixMilli(4102444800001)
	for _, c := range []struct {
		attributes Attributes
		row        chunked.Row
		want       item
	}{
		{
			Attributes{},
			chunked.Row{Group: "r/abc", Item: "0123", Value: []byte("body"), Expires: expires},
			item{"pk": text("r/abc"), "sk": text("0123"), "value": &types.AttributeValueMemberB{Value: []byte("body")},
				"expires": number(4102444801), "until": number(4102444800001)},
		},
		{
			Attributes{},
			chunked.Row{Group: "i/u/abc", Item: "0/1", Expires: time.UnixMilli(4102444800000)},
			item{"pk": text("i/u/abc"), "sk": text("0/1"), "expires": number(4102444800), "until": number(4102444800000)},
		},
		{
			Attributes{Partition: "group", Sort: "item", Value: "bytes"},
			chunked.Row{Group: "r/abc", Item: "0123", Value: []byte("body")},
			item{"group": text("r/abc"), "item": text("0123"), "bytes": &types.AttributeValueMemberB{Value: []byte("body")}},
		},
	} {
		s := open(t, &Options{Attributes: c.attributes})
		put(t, s.table, c.row)
		out, err := s.table.client.Scan(ctx, &driver.ScanInput{TableName: &s.table.name})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Items) != 1 || !reflect.DeepEqual(out.Items[0], c.want) {
			t.Errorf("got %v, want %v", out.Items, c.want)
		}
	}
}

func TestPutGetDelete(t *testing.T) {
	tb := open(t, nil).table
	put(t, tb, chunked.Row{Group: "r/a", Item: "1", Value: []byte("one")})
	put(t, tb, chunked.Row{Group: "r/a", Item: "2"})
	put(t, tb, chunked.Row{Group: "r/a", Item: "2", Value: []byte{0, 0xff}})
	put(t, tb, chunked.Row{Group: "r/a", Item: "3", Expires: time.Now().Add(-time.Hour)}) // late, but there
	put(t, tb, chunked.Row{Group: "r/ab", Item: "1", Value: []byte("another")})
	for _, c := range []struct {
		items []string
		want  map[string]string
	}{
		{nil, map[string]string{"1": "one", "2": "\x00\xff", "3": ""}},
		{[]string{"2"}, map[string]string{"2": "\x00\xff"}},
		{[]string{"3", "0", "1", "1"}, map[string]string{"1": "one", "3": ""}},
		{[]string{"0"}, map[string]string{}},
		{[]string{"0", "4"}, map[string]string{}},
	} {
		if got := get(t, tb, "r/a", c.items...); !maps.Equal(got, c.want) {
			t.Errorf("items %q: got %q, want %q", c.items, got, c.want)
		}
	}
	for _, items := range [][]string{{"0"}, {"2", "0", "2"}} {
		if err := tb.Delete(ctx, "r/a", items...); err != nil {
			t.Error(err)
		}
	}
	if got, want := get(t, tb, "r/a"), (map[string]string{"1": "one", "3": ""}); !maps.Equal(got, want) {
		t.Errorf("after Delete: got %q, want %q", got, want)
	}
	for range 2 { // the second time there is nothing
		if err := tb.Delete(ctx, "r/a"); err != nil {
			t.Error(err)
		}
	}
	if got := get(t, tb, "r/a"); len(got) != 0 {
		t.Errorf("after Delete of all: got %q", got)
	}
	if got, want := get(t, tb, "r/ab"), (map[string]string{"1": "another"}); !maps.Equal(got, want) {
		t.Errorf("of another group: got %q, want %q", got, want)
	}
}

func TestConditions(t *testing.T) {
	tb := open(t, nil).table
	now := time.Now()
	for name, there := range map[string]*chunked.Row{
		"none":    nil,
		"lasting": {Value: []byte("old")},
		"living":  {Value: []byte("old"), Expires: now.Add(time.Minute)},
		"ended":   {Value: []byte("old"), Expires: now.Add(-time.Millisecond)}, // less than a second ago
	} {
		for when, want := range map[chunked.When]map[string]error{
			chunked.Always:    {},
			chunked.IfPresent: {"none": store.ErrNotFound},
			chunked.IfAbsent:  {"lasting": chunked.ErrPresent, "living": chunked.ErrPresent},
		} {
			r := chunked.Row{Group: fmt.Sprint("l/", name, when), Item: "l"}
			if there != nil {
				r.Value, r.Expires = there.Value, there.Expires
				put(t, tb, r)
			}
			r.Value, r.Expires = []byte("new"), now.Add(time.Hour)
			err := tb.Put(ctx, r, when)
			if !errors.Is(err, want[name]) || want[name] == nil && err != nil {
				t.Errorf("%s, condition %d: got %v, want %v", name, when, err, want[name])
			}
			left := map[string]string{}
			switch {
			case want[name] == nil:
				left["l"] = "new"
			case there != nil:
				left["l"] = "old"
			}
			if got := get(t, tb, r.Group); !maps.Equal(got, left) {
				t.Errorf("%s, condition %d: got %q, want %q", name, when, got, left)
			}
		}
	}
}

// fill puts n rows of size bytes and returns what they are.
func fill(t testing.TB, tb *table, group string, n, size int) map[string]string {
	t.Helper()
	want := make(map[string]string)
	for i := range n {
		r := chunked.Row{Group: group, Item: fmt.Sprintf("%08d", i), Value: bytes.Repeat([]byte{byte(i)}, size)}
		put(t, tb, r)
		want[r.Item] = string(r.Value)
	}
	return want
}

func TestGroupsOfMoreThanOnePage(t *testing.T) {
	f := newFront(t)
	tb := open(t, &Options{Endpoint: f.URL}).table
	want := fill(t, tb, "b/a", 40, 80_000)
	other := fill(t, tb, "b/b", 1, 10)
	f.calls()

	if got := get(t, tb, "b/a"); !maps.Equal(got, want) {
		t.Errorf("got %d rows, want %d, or they are wrong ones", len(got), len(want))
	}
	if n := len(f.calls()); n < 3 {
		t.Errorf("3 MB came in %d answers, want more: a page has 1 MB", n)
	}
	if got := get(t, tb, "b/a", slices.Collect(maps.Keys(want))...); !maps.Equal(got, want) {
		t.Errorf("by name: got %d rows, want %d, or they are wrong ones", len(got), len(want))
	}
	if n := len(f.calls()); n < 2 && os.Getenv("DYNAMODB_FLAVOUR") == "dynalite" {
		t.Errorf("3 MB by name came in %d answers, want more: this server leaves some unprocessed", n)
	}
	if err := tb.Delete(ctx, "b/a"); err != nil {
		t.Error(err)
	}
	if got := get(t, tb, "b/a"); len(got) > 0 {
		t.Errorf("%d rows are left after Delete", len(got))
	}
	if got := get(t, tb, "b/b"); !maps.Equal(got, other) {
		t.Errorf("another group has %d rows after Delete, want %d", len(got), len(other))
	}
}

func TestManyNames(t *testing.T) {
	f := newFront(t)
	tb := open(t, &Options{Endpoint: f.URL}).table
	want := fill(t, tb, "b/a", 130, 10)
	f.calls()
	names := slices.Collect(maps.Keys(want))
	if got := get(t, tb, "b/a", names...); !maps.Equal(got, want) {
		t.Errorf("got %d rows, want %d, or they are wrong ones", len(got), len(want))
	}
	if n := len(f.calls()); n != 2 {
		t.Errorf("%d calls for 130 rows, want 2", n)
	}
	if err := tb.Delete(ctx, "b/a", names[10:]...); err != nil {
		t.Error(err)
	}
	if n := len(f.calls()); n != 5 {
		t.Errorf("%d calls to delete 120 rows, want 5", n)
	}
	if got := get(t, tb, "b/a"); len(got) != 10 {
		t.Errorf("%d rows are left, want 10", len(got))
	}
}

func TestWhatABatchLeavesIsAskedForAgain(t *testing.T) {
	f := newFront(t)
	tb := open(t, &Options{Endpoint: f.URL}).table
	want := fill(t, tb, "b/a", 30, 10)
	names := slices.Collect(maps.Keys(want))
	left := 0
	f.answer(func(w http.ResponseWriter, c call) bool {
		as := map[string]string{"BatchGetItem": "UnprocessedKeys", "BatchWriteItem": "UnprocessedItems"}[c.op]
		if as == "" || left == 0 {
			return false
		}
		left--
		var in struct{ RequestItems json.RawMessage }
		json.Unmarshal(c.body, &in)
		send(w, 200, map[string]any{"Responses": map[string]any{}, as: in.RequestItems})
		return true
	})
	left = 2
	if got := get(t, tb, "b/a", names...); !maps.Equal(got, want) || left != 0 {
		t.Errorf("got %d rows, want %d, or they are wrong ones", len(got), len(want))
	}
	left = 2
	if err := tb.Delete(ctx, "b/a", names...); err != nil || left != 0 {
		t.Error(err)
	}
	if got := get(t, tb, "b/a"); len(got) > 0 {
		t.Errorf("%d rows are left after Delete", len(got))
	}

	// Not for ever, and not beyond the caller's deadline.
	left = 1000
	if _, err := tb.Get(ctx, "b/a", names...); !errors.Is(err, errThrottled) {
		t.Errorf("Get of what is never answered: got %v, want %v", err, errThrottled)
	}
	if err := tb.Delete(ctx, "b/a", names...); !errors.Is(err, errThrottled) {
		t.Errorf("Delete that is never done: got %v, want %v", err, errThrottled)
	}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if _, err := tb.Get(short, "b/a", names...); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Get with a deadline: got %v, want %v", err, context.DeadlineExceeded)
	}
}

func TestTheLargestItem(t *testing.T) {
	f := newFront(t)
	tb := open(t, &Options{Endpoint: f.URL}).table
	r := chunked.Row{Group: "b/" + strings.Repeat("g", 118), Item: strings.Repeat("i", 100), Expires: time.Now().Add(time.Hour)}
	r.Value = make([]byte, maxItem-size(tb.item(chunked.Row{Group: r.Group, Item: r.Item, Value: []byte{1}, Expires: r.Expires}))+1)
	put(t, tb, r)
	if got := get(t, tb, r.Group); got[r.Item] != string(r.Value) {
		t.Errorf("an item of %d bytes does not come back", maxItem)
	}
	if len(r.Value) < maxChunk+4 {
		t.Errorf("%d bytes are the most in an item, too few for a chunk of %d", len(r.Value), maxChunk)
	}
	f.calls()
	r.Value = append(r.Value, 0)
	if err := tb.Put(ctx, r, chunked.Always); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("an item of %d bytes: got %v, want %v", maxItem+1, err, store.ErrTooLarge)
	}
	if n := len(f.calls()); n > 0 {
		t.Errorf("an item that is too large was sent %d times", n)
	}
}

func TestAHeadThatNoItemHoldsIsTooLarge(t *testing.T) {
	s := open(t, nil)
	r := record("key")
	r.Header = http.Header{"X": {strings.Repeat("x", 1<<20)}}
	r.Size = 0
	w, err := s.Create(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(r); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("Commit: got %v, want %v", err, store.ErrTooLarge)
	}
	w.Close()
	if found, err := s.Lookup(ctx, r.Key); len(found) > 0 || err != nil {
		t.Errorf("Lookup: %d records, %v; want none", len(found), err)
	}

	r = record("key")
	r.Size = 0
	if w, err = s.Create(ctx, r); err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Commit(r); err != nil {
		t.Fatal(err)
	}
	larger := r.Clone()
	larger.Header = http.Header{"X": {strings.Repeat("x", 1<<20)}}
	if err := s.Update(ctx, larger); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("Update: got %v, want %v", err, store.ErrTooLarge)
	}
	if found, err := s.Lookup(ctx, r.Key); len(found) != 1 || err != nil {
		t.Errorf("Lookup: %d records, %v; want the one that was not updated", len(found), err)
	}
}

func TestGroupsYieldsEachName(t *testing.T) {
	for _, segments := range []int{0, 1, 7} {
		tb := open(t, &Options{Segments: segments}).table
		want := make(map[string]bool)
		for i := range 60 { // 2.4 MB
			group := fmt.Sprint("b/", i)
			fill(t, tb, group, 2, 20_000)
			put(t, tb, chunked.Row{Group: fmt.Sprint("r/", i), Item: "0"})
			want[group] = true
		}
		got := make(map[string]bool)
		n := 0
		for group, err := range tb.Groups(ctx, "b/") {
			if err != nil {
				t.Fatal(err)
			}
			got[group] = true
			n++
		}
		if !maps.Equal(got, want) {
			t.Errorf("%d segments: got %d names, want %d", segments, len(got), len(want))
		}
		if n > 80 {
			t.Errorf("%d segments: %d names for %d groups", segments, n, len(want))
		}
	}
}

func TestGroupsStops(t *testing.T) {
	f := newFront(t)
	tb := open(t, &Options{Endpoint: f.URL, Segments: 2}).table
	for i := range 40 { // 8 MB
		fill(t, tb, fmt.Sprint("b/", i), 2, 100_000)
	}
	f.calls()
	for range tb.Groups(ctx, "") {
		break
	}
	if n := len(f.calls()); n > 4 {
		t.Errorf("%d pages were read for the first name; want one or two in each segment", n)
	}
	short, cancel := context.WithCancel(ctx)
	defer cancel()
	var last error
	for _, last = range tb.Groups(short, "") {
		cancel()
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("after the end of its context: got %v, want %v", last, context.Canceled)
	}
	f.answer(func(w http.ResponseWriter, c call) bool {
		if bytes.Contains(c.body, []byte("ExclusiveStartKey")) {
			fail(w, 400, "AccessDeniedException", "no more of this")
			return true
		}
		return false
	})
	n := 0
	for _, err := range tb.Groups(ctx, "") {
		if last != nil && n > 0 && err == nil && strings.Contains(last.Error(), "no more") {
			t.Error("a name comes after the fault")
		}
		last = err
		n++
	}
	if last == nil || !strings.Contains(last.Error(), "no more of this") || n < 2 {
		t.Errorf("a fault on the second page: got %d names and %v, want those of the first page and the fault", n, last)
	}
}
