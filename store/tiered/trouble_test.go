package tiered_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/memory"
	"github.com/larder-go/larder/store/tiered"
)

// Whatever fails in front, and whenever it is mended, what is found is what the back has.
func TestFrontFails(t *testing.T) {
	all := []string{lookup, opened, create, write, commit, update, remove}
	for _, broken := range append([][]string{all}, [][]string{{lookup}, {opened}, {create}, {write}, {commit}, {update}, {remove}}...) {
		t.Run(strings.Join(broken, " "), func(t *testing.T) {
			for step := range 8 { // from which on the front is mended
				front, back := inBetween(), new(memory.Store)
				s := open(t, front, back, &tiered.Options{Lifetime: time.Hour})
				put(t, back, "key", strings.Repeat("of another process", 10_000))
				var r *store.Record
				for i, do := range []func(){
					func() { r = put(t, s, "key", "one") },
					func() { must(t, s.Update(t.Context(), withStatus(r, 210))) },
					func() { r = put(t, s, "key", "two", r.ID) },
					func() { must(t, s.Update(t.Context(), withStatus(r, 220))) },
					func() { must(t, s.Delete(t.Context(), "key", r.ID)) },
					func() { r = put(t, s, "key", strings.Repeat("three", 10_000)) },
					func() { must(t, s.Delete(t.Context(), "key")) },
				} {
					if i == 0 {
						front.breakAt(broken...)
					}
					if i == step {
						front.mend()
					}
					do()
					for range 2 {
						want(t, "after a step", found(t, s, "key"), found(t, back, "key")...)
					}
				}
			}
		})
	}
}

func TestBackFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := inBetween()
		s := open(t, nil, back, &tiered.Options{Alone: 20 * time.Second})
		put(t, back.Store, "key", "one")
		put(t, back.Store, "other", "two")
		put(t, back.Store, "never asked for", "three")
		found(t, s, "key")
		found(t, s, "other")
		back.breakAt(lookup)
		back.count(lookup)
		want(t, "within Lifetime", found(t, s, "key"), answer{200, "one"})

		time.Sleep(lifetime)
		one := func(what string) { // of many is told that the back fails
			t.Helper()
			records, err := s.Lookup(t.Context(), "key")
			if !errors.Is(err, errBroken) {
				t.Errorf("%s: error %v, want the back's", what, err)
			}
			want(t, what, answers(t, s, records), answer{200, "one"})
			for range 10 {
				want(t, "after that", found(t, s, "key"), answer{200, "one"})
				want(t, "after that", found(t, s, "other"), answer{200, "two"})
			}
			wantCalls(t, what, back.count(lookup), 1)
		}
		one("after Lifetime")
		time.Sleep(5 * time.Second)
		one("5 s later")
		if records, err := s.Lookup(t.Context(), "never asked for"); len(records) > 0 || !errors.Is(err, errBroken) {
			t.Errorf("what is not in front: %v, %v, want the back's error", records, err)
		}

		time.Sleep(20*time.Second - 5*time.Second)
		for range 2 {
			if records, err := s.Lookup(t.Context(), "key"); len(records) > 0 || !errors.Is(err, errBroken) {
				t.Errorf("after Alone: %v, %v, want the back's error", records, err)
			}
		}
		back.mend()
		must(t, back.Store.Delete(t.Context(), "key"))
		want(t, "when it is well again", found(t, s, "key"))
	})
}

func TestBackIsUsedAgainWhenItIsWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := inBetween()
		s := open(t, nil, back, nil)
		r := put(t, s, "key", "one")
		found(t, s, "key")
		back.breakAt(lookup)
		time.Sleep(lifetime)
		if _, err := s.Lookup(t.Context(), "key"); !errors.Is(err, errBroken) {
			t.Errorf("error %v, want the back's", err)
		}
		back.mend()
		must(t, back.Store.Update(t.Context(), withStatus(r, 210)))
		time.Sleep(5*time.Second - 1)
		want(t, "while the back is left alone", found(t, s, "key"), answer{200, "one"})
		time.Sleep(time.Nanosecond)
		want(t, "after that", found(t, s, "key"), answer{210, "one"})
		time.Sleep(lifetime)
		must(t, back.Store.Delete(t.Context(), "key"))
		want(t, "from then on", found(t, s, "key"))
	})
}

func TestFrontIsNotToGoOnAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := inBetween()
		s := open(t, nil, back, &tiered.Options{Alone: -1})
		put(t, s, "key", "one")
		found(t, s, "key")
		back.breakAt(lookup)
		time.Sleep(lifetime)
		for range 2 {
			if records, err := s.Lookup(t.Context(), "key"); len(records) > 0 || !errors.Is(err, errBroken) {
				t.Errorf("got %v, %v, want the back's error", records, err)
			}
		}
	})
}

// A caller without time says nothing of the back, one who has waited for it does.
func TestCallersWhoGiveUp(t *testing.T) {
	for patience, rests := range map[time.Duration]bool{time.Millisecond: false, 2 * time.Second: true} {
		synctest.Test(t, func(t *testing.T) {
			back := inBetween()
			s := open(t, nil, back, nil)
			put(t, s, "key", "one")
			found(t, s, "key")
			time.Sleep(lifetime)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			back.set(func(string, func() error) error { <-ctx.Done(); return ctx.Err() })
			if _, err := s.Lookup(ctx, "key"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v, want a deadline exceeded", err)
			}
			back.mend()
			must(t, back.Store.Delete(t.Context(), "key"))
			if got := len(found(t, s, "key")) > 0; got != rests {
				t.Errorf("after a caller gave up who had waited %v: what was in front is relied on: %v, want %v", patience, got, rests)
			}
		})
	}
}

func TestOneCallerTriesTheBackAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := inBetween()
		s := open(t, nil, back, nil)
		put(t, s, "key", "one")
		found(t, s, "key")
		back.breakAt(lookup)
		time.Sleep(lifetime)
		s.Lookup(t.Context(), "key")
		time.Sleep(5 * time.Second)
		reached, let := back.hold(lookup, true)
		done := make(chan struct{})
		go func() {
			defer close(done)
			if _, err := s.Lookup(t.Context(), "key"); !errors.Is(err, errBroken) {
				t.Errorf("the one that tries: %v, want the back's error", err)
			}
		}()
		<-reached
		want(t, "another", found(t, s, "key"), answer{200, "one"})
		let()
		<-done
	})
}

// What is stale is asked for in the back, if that is well.
func TestStaleRecordWhileTheBackFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := inBetween()
		s := open(t, nil, back, nil)
		r := record("key")
		r.FreshUntil = time.Now()
		must(t, tryPut(s, r, "one"))
		found(t, s, "key")
		back.breakAt(lookup)
		if _, err := s.Lookup(t.Context(), "key"); !errors.Is(err, errBroken) {
			t.Errorf("error %v, want the back's", err)
		}
		want(t, "after that", found(t, s, "key"), answer{200, "one"})
	})
}

// What the front has not been told of must not be seen in it when it is well again.
func TestFrontThatMissedAChange(t *testing.T) {
	for name, broken := range map[string]func(nth int, op string) bool{
		"it could not be looked into": func(_ int, op string) bool { return op == lookup },
		"it could not be changed":     func(nth int, op string) bool { return nth == 1 || op == update },
	} {
		t.Run(name, func(t *testing.T) {
			front, back := inBetween(), new(memory.Store)
			s := open(t, front, back, &tiered.Options{Lifetime: time.Hour})
			body := strings.Repeat("one", 100_000) // not beside the head
			r := put(t, s, "key", body)
			found(t, s, "key")
			must(t, back.Update(t.Context(), withStatus(r, 210))) // by another process
			calls := 0
			front.set(func(op string, do func() error) error {
				if calls++; broken(calls, op) {
					return errBroken
				}
				return do()
			})
			want(t, "while the front fails", found(t, s, "key"), answer{210, body})
			front.mend()
			want(t, "after that", found(t, s, "key"), answer{210, body})
		})
	}
}

// What is begun and left takes no room in front.
func TestWhatIsLeftTakesNoRoomInFront(t *testing.T) {
	back := inBetween()
	s := open(t, &memory.Store{MaxBytes: 1 << 20}, back, &tiered.Options{MaxBody: 500_000})
	r := put(t, back, "key", strings.Repeat("of another process", 25_000))
	some := make([]byte, 300_000)
	for range 5 {
		for _, seek := range []bool{false, true} {
			b, err := s.Open(t.Context(), r)
			must(t, err)
			_, err = io.ReadFull(b, some)
			must(t, err)
			if seek {
				_, err = b.Seek(0, io.SeekStart)
				must(t, err)
			}
			must(t, b.Close())
		}
		for _, times := range []int{1, 2} { // twice is more than MaxBody
			left := record("left")
			left.Size = -1
			w, err := s.Create(t.Context(), left)
			must(t, err)
			for range times {
				_, err = w.Write(some)
				must(t, err)
			}
			must(t, w.Close())
		}
	}
	read(t, s, r)
	back.count(opened)
	read(t, s, r)
	wantCalls(t, "for what was read to its end", back.count(opened), 0)
}

// What the back does not take is not in front, and what could not be changed there is not taken from the front.
func TestChangesThatFail(t *testing.T) {
	for _, op := range []string{create, write, commit, update, remove} {
		t.Run(op, func(t *testing.T) {
			back := inBetween()
			s := open(t, nil, back, &tiered.Options{Lifetime: time.Hour})
			r := put(t, s, "key", "one")
			found(t, s, "key")
			back.breakAt(op)
			var err error
			switch op {
			case update:
				err = s.Update(t.Context(), withStatus(r, 210))
			case remove:
				err = s.Delete(t.Context(), "key", r.ID)
			default:
				err = tryPut(s, record("key"), "two", r.ID)
			}
			if !errors.Is(err, errBroken) {
				t.Errorf("error %v, want the back's", err)
			}
			back.count(lookup)
			want(t, "after a change that failed", found(t, s, "key"), answer{200, "one"})
			if op == commit || op == update || op == remove { // perhaps it was made all the same
				wantCalls(t, "after a change that failed", back.count(lookup), 1)
			}
		})
	}
}

// originOf answers every request with the same fresh response.
type originOf string

func (o originOf) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
		Header: http.Header{"Cache-Control": {"max-age=3600"}, "Date": {time.Now().UTC().Format(http.TimeFormat)}},
		Body:   io.NopCloser(strings.NewReader(string(o))), ContentLength: int64(len(o))}, nil
}

func TestCacheWhileTheBackFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := inBetween()
		told := 0
		c := &larder.Cache{Base: originOf("hello"), Store: open(t, nil, back, nil), Observe: func(e larder.Event) {
			if e.Kind == larder.StoreFailed {
				told++
			}
		}}
		get := func(want larder.Outcome) {
			t.Helper()
			resp, err := c.Client().Get("http://example.com/a")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if got := larder.Info(resp).Outcome; got != want || string(body) != "hello" || err != nil {
				t.Errorf("got %v, %q, %v, want %v", got, body, err, want)
			}
		}
		get(larder.Miss)
		get(larder.Hit)
		back.set(func(string, func() error) error { return errBroken })
		for range 60 {
			time.Sleep(time.Second)
			get(larder.Hit)
		}
		if told == 0 || told > 60/5+1 {
			t.Errorf("the failure was told of %d times in a minute, want once in 5 s", told)
		}
		time.Sleep(lifetime)
		get(larder.Miss)
		back.mend()
		time.Sleep(5 * time.Second)
		get(larder.Hit)
	})
}

func TestCacheWhileADistantBackHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := hanging{inBetween()}
		c := &larder.Cache{Base: originOf("hello"), Store: open(t, nil, plain{back}, nil)}
		get := func(path string) larder.Outcome {
			resp, err := c.Client().Get("http://example.com/" + path)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); string(body) != "hello" || err != nil {
				t.Errorf("got %q, %v", body, err)
			}
			return larder.Info(resp).Outcome
		}
		get("hot")
		get("hot")
		back.breakAt(lookup)
		misses := 0
		began := time.Now()
		for i := range 300 {
			time.Sleep(100 * time.Millisecond)
			if get("hot") != larder.Hit {
				misses++
			}
			if i%3 == 0 {
				get(fmt.Sprint("cold", i))
			}
		}
		if took := time.Since(began); misses > 30/5 || took > 30*time.Second+2*2*time.Second {
			t.Errorf("%d of 300 were misses, in %v; want one in 5 s at most, and a caller or two to wait", misses, took)
		}
		back.mend()
		time.Sleep(10 * time.Second)
		back.count(lookup)
		get("hot")
		time.Sleep(lifetime)
		get("hot")
		if back.count(lookup) == 0 {
			t.Error("the back is well, and is not asked again")
		}
		must(t, c.Close(t.Context()))
	})
}

// hanging is a store whose lookups hang where they are to fail.
type hanging struct{ *between }

func (h hanging) Lookup(ctx context.Context, key store.Key) ([]*store.Record, error) {
	found, err := h.between.Lookup(ctx, key)
	if err != nil {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return found, nil
}

func TestFaultyArguments(t *testing.T) {
	for name, c := range map[string]struct {
		front, back store.Store
		want        string
	}{
		"no back":          {new(memory.Store), nil, "no back"},
		"a front far away": {struct{ store.Store }{new(memory.Store)}, new(memory.Store), "not a store.Local"},
	} {
		if _, err := tiered.New(c.front, c.back, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
}

func TestLargeBodiesStayInTheBack(t *testing.T) {
	front, back := new(memory.Store), inBetween()
	s := open(t, front, back, &tiered.Options{MaxBody: 1000, Lifetime: time.Hour})
	for _, size := range []int{1000, 1001, 3 << 20} {
		body := strings.Repeat("x", size)
		put(t, s, "key", body)
		for range 2 {
			want(t, "a body", found(t, s, "key"), answer{200, body})
		}
		n, _, _ := front.Size(t.Context())
		if in := size <= 1000; (n == 1) != in {
			t.Errorf("a body of %d bytes: %d records in front", size, n)
		}
		must(t, s.Delete(t.Context(), "key"))
	}
}

func TestBodyGoesToTheFrontWhenItIsRead(t *testing.T) {
	body := strings.Repeat("0123456789", 10_000) // not beside the head on the disk
	dir := t.TempDir()
	put(t, openDisk(t, dir), "key", body)
	front := inBetween()
	s := open(t, front, openDisk(t, dir), nil)
	records, err := s.Lookup(t.Context(), "key")
	if err != nil || len(records) != 1 || records[0].Body != nil {
		t.Fatalf("got %v, %v", records, err)
	}
	inFront := func() bool {
		found, err := front.Store.Lookup(t.Context(), "key")
		return err == nil && len(found) > 0
	}
	for what, use := range map[string]func(io.ReadSeeker) error{
		"read to the middle": func(b io.ReadSeeker) error { _, err := io.CopyN(io.Discard, b, 50_000); return err },
		"read here and there": func(b io.ReadSeeker) error { // as many bytes as it has
			if _, err := io.CopyN(io.Discard, b, 30_000); err != nil {
				return err
			}
			if _, err := b.Seek(40_000, io.SeekStart); err != nil {
				return err
			}
			if _, err := io.CopyN(io.Discard, b, 30_000); err != nil {
				return err
			}
			if _, err := b.Seek(60_000, io.SeekStart); err != nil {
				return err
			}
			_, err := io.Copy(io.Discard, b)
			return err
		},
	} {
		b, err := s.Open(t.Context(), records[0])
		must(t, err)
		must(t, use(b))
		must(t, b.Close())
		if inFront() {
			t.Errorf("a body that was %s is in front", what)
		}
	}
	if got := read(t, s, records[0]); got != body {
		t.Errorf("the body is another one, of %d bytes", len(got))
	}
	if !inFront() {
		t.Error("a body that was read is not in front")
	}
	again, err := s.Lookup(t.Context(), "key")
	if err != nil || len(again) != 1 || string(again[0].Body) != body {
		t.Errorf("got %v, %v, want the record from the front", again, err)
	}
}

// A front need not be able to store the same record twice.
func TestNoRecordIsStoredInFrontTwice(t *testing.T) {
	front, back := inBetween(), inBetween()
	s := open(t, front, back, nil)
	r := put(t, back.Store, "key", strings.Repeat("one", 100_000))
	var readers []io.ReadCloser
	for range 2 {
		b, err := s.Open(t.Context(), r)
		must(t, err)
		defer b.Close()
		readers = append(readers, b)
	}
	for _, b := range readers {
		_, err := io.Copy(io.Discard, b)
		must(t, err)
	}
	if n := front.count(commit); n != 1 {
		t.Errorf("%d commits in front by two readers, want 1", n)
	}

	reached, let := back.hold(commit, false)
	done := make(chan struct{})
	go func() {
		defer close(done)
		put(t, s, "other", "two")
	}()
	<-reached
	want(t, "beside its Commit", found(t, s, "other"), answer{200, "two"})
	let()
	<-done
	if n := front.count(commit); n != 1 {
		t.Errorf("%d commits in front by a writer and a Lookup beside it, want 1", n)
	}
}

// That a body is damaged may show at its end.
func TestBodyThatFailsAtItsEndIsNotInFront(t *testing.T) {
	front, back := inBetween(), inBetween()
	s := open(t, front, back, nil)
	r := put(t, back.Store, "key", "one")
	b, err := s.Open(t.Context(), r)
	must(t, err)
	defer b.Close()
	back.set(func(_ string, do func() error) error {
		if err := do(); err == io.EOF {
			return errBroken
		}
		return nil
	})
	if _, err := io.Copy(io.Discard, b); !errors.Is(err, errBroken) {
		t.Errorf("error %v, want the back's", err)
	}
	if n, _, _ := front.Store.Size(t.Context()); n != 0 {
		t.Errorf("%d records in front, want none", n)
	}
}

// The head of a body that is read may be an older one by then.
func TestBodyThatIsReadBringsNoOldHead(t *testing.T) {
	dir := t.TempDir()
	s := open(t, nil, openDisk(t, dir), &tiered.Options{Lifetime: time.Hour})
	put(t, openDisk(t, dir), "key", strings.Repeat("0123456789", 10_000))
	records, err := s.Lookup(t.Context(), "key")
	must(t, err)
	must(t, s.Update(t.Context(), withStatus(records[0], 210)))
	body := read(t, s, records[0])
	want(t, "after an Update", found(t, s, "key"), answer{210, body})
}

// Nor to one who looks into the front in that moment.
func TestBodyThatIsReadBringsNoOldHeadToALookupBesideIt(t *testing.T) {
	dir := t.TempDir()
	front := inBetween()
	s := open(t, front, openDisk(t, dir), &tiered.Options{Lifetime: time.Hour})
	put(t, openDisk(t, dir), "key", strings.Repeat("0123456789", 10_000))
	records, err := s.Lookup(t.Context(), "key")
	must(t, err)
	body, err := s.Open(t.Context(), records[0])
	must(t, err)
	defer body.Close()
	must(t, s.Update(t.Context(), withStatus(records[0], 210)))

	looking, look := front.hold(lookup, true)
	status := make(chan int)
	go func() {
		records, err := s.Lookup(t.Context(), "key")
		must(t, err)
		status <- records[0].Status
	}()
	<-looking
	_, err = io.Copy(io.Discard, body)
	must(t, err)
	look()
	if got := <-status; got != 210 {
		t.Errorf("after an Update to 210 the head is that of %d", got)
	}
}

// How the front keeps a body says nothing to the back.
func TestRecordOfTheFrontIsOpenedInTheBack(t *testing.T) {
	dir := t.TempDir()
	s, other := open(t, nil, openDisk(t, dir), nil), open(t, nil, openDisk(t, dir), nil)
	body := strings.Repeat("0123456789", 4_000) // beside the head in memory, and not on the disk
	put(t, s, "key", body)
	records, err := s.Lookup(t.Context(), "key")
	if err != nil || len(records) != 1 || records[0].Body == nil {
		t.Fatalf("got %v, %v, want a record with its body", records, err)
	}
	if got := read(t, other, records[0]); got != body {
		t.Errorf("the body is another one, of %d bytes", len(got))
	}
}
