package disk

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestLedgerIsPutRightByTwoCountsThatAgree(t *testing.T) {
	for _, c := range []struct {
		name   string
		counts []tally // one after the other: what each finds, where the ledger says that there is nothing
		late   tally   // what another process enters between them
		want   tally
	}{
		{"nothing is off", []tally{{}}, tally{}, tally{}},
		{"another process was about to enter it", []tally{{4096, 1}, {4096, 1}}, tally{4096, 1}, tally{4096, 1}},
		{"nobody enters it", []tally{{4096, 1}, {4096, 1}}, tally{}, tally{4096, 1}},
		{"the second finds less", []tally{{12288, 3}, {4096, 1}}, tally{}, tally{4096, 1}},
		{"the second finds the opposite", []tally{{4096, 1}, {-4096, -1}}, tally{}, tally{}},
		{"the first finds the opposite", []tally{{-4096, -1}, {4096, 1}}, tally{}, tally{}},
		{"it has less", []tally{{-4096, -1}, {-8192, -2}}, tally{}, tally{-4096, -1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Open(t.TempDir(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			n := 0
			s.settle(func() (counted, error) {
				if n == 1 && c.late != (tally{}) {
					s.usage.add(c.late.bytes, c.late.records)
				}
				found := s.begin()
				found.tally = c.counts[n]
				n++
				return found, nil
			})
			if got, _ := s.usage.now(); got != c.want || n != len(c.counts) {
				t.Errorf("the ledger says %+v after %d counts, want %+v after %d", got, n, c.want, len(c.counts))
			}
		})
	}
}

// TestWhatMovedMeanwhileIsNotOff, on either side.
func TestWhatMovedMeanwhileIsNotOff(t *testing.T) {
	for _, c := range []struct{ n, moved, want int64 }{{0, 0, 0}, {5, 0, 5}, {-5, 0, -5}, {5, 5, 0}, {-5, 5, 0}, {5, 2, 3}, {-5, 2, -3}, {1, 9, 0}, {-1, 9, 0}} {
		if got := beyond(c.n, c.moved); got != c.want {
			t.Errorf("off by %d where %d moved: %d, want %d", c.n, c.moved, got, c.want)
		}
	}
}

// TestWhatHasTwoNamesIsTakenAwayOnce, as what a process left that was killed when it had given a head its name.
func TestWhatHasTwoNamesIsTakenAwayOnce(t *testing.T) {
	for _, removed := range []bool{false, true} {
		dir := t.TempDir()
		s := openAt(t, dir, 1<<20)
		put(t, s, "key")
		p := placeOf(t, s, "key")
		temp, long := p.temp(), time.Now().Add(-2*grace)
		if err := errors.Join(p.fan.Link(p.first(), temp), p.fan.Chtimes(temp, long, long)); err != nil {
			t.Fatal(err)
		}
		if removed {
			if err := s.Delete(t.Context(), "key"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Sweep(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		if total, _ := s.usage.now(); total.bytes != taken(t, dir) {
			t.Errorf("removed %v: the ledger says %d bytes, the files take %d", removed, total.bytes, taken(t, dir))
		}
	}
}

// TestTwoWhoCountTakeAwayTheSameOnce, or it would be missing from the ledger as often as it is taken away.
func TestTwoWhoCountTakeAwayTheSameOnce(t *testing.T) {
	a, b := openTwo(t)
	for n := range 500 {
		a.usage.add(4096, 1)
		_, movedA := a.usage.now()
		_, movedB := b.usage.now()
		var both sync.WaitGroup
		both.Go(func() { a.usage.correct(tally{-4096, -1}, movedA) })
		if n%2 == 0 {
			both.Wait()
		}
		both.Go(func() { b.usage.correct(tally{-4096, -1}, movedB) })
		both.Wait()
		total, _ := a.usage.now()
		if total.bytes < 0 || total.records < 0 {
			t.Fatalf("the ledger says %+v", total)
		}
		a.usage.add(-total.bytes, -total.records)
	}
}

// TestWhatIsEnteredAndNotYetWrittenIsNotTakenAway by two counts, each of which begins while somebody is between these.
func TestWhatIsEnteredAndNotYetWrittenIsNotTakenAway(t *testing.T) {
	s := openAt(t, t.TempDir(), 1<<20)
	var written atomic.Int64
	var all sync.WaitGroup
	s.settle(func() (counted, error) {
		entered, write := make(chan bool), make(chan bool)
		all.Go(func() {
			s.spend(4096, 1, func() error {
				close(entered)
				<-write
				written.Add(1)
				return nil
			})
		})
		<-entered
		all.Go(func() {
			for changes.TryRLock() { // until somebody waits for that
				changes.RUnlock()
				runtime.Gosched()
			}
			close(write)
		})
		c := s.begin()
		c.records = written.Load()
		c.bytes = 4096 * c.records
		return c, nil
	})
	all.Wait()
	if total, records := s.usage.total(); records != written.Load() || total != 4096*records {
		t.Errorf("the ledger says %d records of %d bytes, %d were written", records, total, written.Load())
	}
}
