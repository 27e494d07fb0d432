package chunked_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/larder-go/larder/internal/maptable"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/chunked"
)

func TestPiecesAreKeptLongerThanTheirRecord(t *testing.T) {
	table := new(maptable.Table)
	s := chunked.New(table, nil)
	defer s.Close()
	r, body := record("a", 100_000)
	ends := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	r.KeepUntil = ends
	put(t, s, r, body)
	expires := func(group, item string) time.Time {
		row, ok := table.Row(group, item)
		if !ok {
			t.Fatalf("no row %s in %s", item, group)
		}
		return row.Expires
	}
	record := func() time.Time { return expires(chunked.RecordGroup("a"), r.ID.String()) }
	piece := expires(chunked.BodyGroup("a", r.ID), "00000000")
	equal(t, "expiry of a piece", piece, ends.Add(30*24*time.Hour))
	equal(t, "expiry of the record", record(), ends)
	for _, c := range []struct{ until, want time.Time }{
		{ends.Add(24 * time.Hour), ends.Add(24 * time.Hour)},
		{ends.Add(40 * 24 * time.Hour), piece}, // a record without its body is of no use
		{time.Time{}, piece},
		{ends, ends},
	} {
		u := r.Clone()
		u.KeepUntil = c.until
		if err := s.Update(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		if !record().Equal(c.want) {
			t.Errorf("KeepUntil %v: the record expires %v, want %v", c.until, record(), c.want)
		}
		found, err := s.Lookup(t.Context(), "a")
		if err != nil || len(found) != 1 || !found[0].KeepUntil.Equal(c.until) {
			t.Errorf("KeepUntil %v: found %v, %v", c.until, found[0].KeepUntil, err)
		}
	}
	equal(t, "expiry of a piece after Updates", expires(chunked.BodyGroup("a", r.ID), "00000000"), piece)
}

// keeper is a table that can make a group last longer.
type keeper struct{ *maptable.Table }

func (k keeper) Keep(ctx context.Context, group string, expires time.Time) error {
	rows, err := k.Get(ctx, group)
	for _, r := range rows {
		old, _ := k.Row(group, r.Item)
		if old.Expires.IsZero() || !expires.IsZero() && expires.Before(old.Expires) {
			continue
		}
		old.Expires = expires
		if err := k.Put(ctx, old, chunked.Always); err != nil {
			return err
		}
	}
	return err
}

func TestPiecesMoveWithTheirRecordWhereTheTableCanKeepThem(t *testing.T) {
	table := keeper{new(maptable.Table)}
	s := chunked.New(table, nil)
	defer s.Close()
	r, body := record("a", 300_000)
	ends := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	r.KeepUntil = ends
	put(t, s, r, body)
	for _, c := range []struct {
		name                        string
		until, wantRecord, wantBody time.Time
	}{
		{"as it was", ends, ends, ends.Add(time.Hour)},
		{"later", ends.AddDate(1, 0, 0), ends.AddDate(1, 0, 0), ends.AddDate(1, 0, 0).Add(time.Hour)},
		{"earlier again", ends, ends, ends.AddDate(1, 0, 0).Add(time.Hour)},
		{"for ever", time.Time{}, time.Time{}, time.Time{}},
		{"no more for ever", ends, ends, time.Time{}},
	} {
		u := r.Clone()
		u.KeepUntil = c.until
		if err := s.Update(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		row, ok := table.Row(chunked.RecordGroup("a"), r.ID.String())
		equal(t, c.name+": the record is there", ok, true)
		equal(t, c.name+": its expiry", row.Expires, c.wantRecord)
		for _, item := range []string{"00000000", "00000001", "w"} {
			row, ok := table.Row(chunked.BodyGroup("a", r.ID), item)
			equal(t, c.name+": "+item+" is there", ok, true)
			equal(t, c.name+": the expiry of "+item, row.Expires, c.wantBody)
		}
	}
}

func TestForeverStaysForever(t *testing.T) {
	table := new(maptable.Table)
	s := chunked.New(table, nil)
	defer s.Close()
	r, body := record("a", 100_000)
	put(t, s, r, body)
	if err := s.Update(t.Context(), r.Clone()); err != nil {
		t.Fatal(err)
	}
	if err := table.Expire(t.Context(), time.Now().AddDate(1000, 0, 0)); err != nil {
		t.Fatal(err)
	}
	b, err := s.Open(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if n, err := io.Copy(io.Discard, b); n != 100_000 || err != nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

// TestEntriesOutlastTheRecordThatTwoUpdatesLeave has one Update happen between the entries and the record of another.
func TestEntriesOutlastTheRecordThatTwoUpdatesLeave(t *testing.T) {
	table := &watched{Table: new(maptable.Table)}
	s := chunked.New(table, nil)
	defer s.Close()
	r, body := record("a", 10)
	r.KeepUntil = time.Now().Add(time.Hour).Truncate(time.Millisecond)
	put(t, s, r, body)
	later, sooner := r.Clone(), r.Clone()
	later.KeepUntil = r.KeepUntil.Add(time.Hour)
	sooner.KeepUntil = later.KeepUntil.Add(-5 * time.Second)
	table.first(func(method, group, _ string) error {
		if method+" "+group[:1] != "Put r" {
			return nil
		}
		table.first(nil)
		return s.Update(t.Context(), sooner)
	})
	if err := s.Update(t.Context(), later); err != nil {
		t.Fatal(err)
	}
	if err := table.Expire(t.Context(), later.KeepUntil); err != nil {
		t.Fatal(err)
	}
	equal(t, "records found by their URL until the later one ends", len(find(t, s, store.Query{URL: r.URL})), 1)
	if err := table.Expire(t.Context(), later.KeepUntil.Add(2*time.Minute)); err != nil {
		t.Fatal(err)
	}
	equal(t, "entries after that", table.Len("i/"), 0)
}
