package disk

import (
	"os"
	"sync"
	"testing"
	"time"
)

func TestLedgersAgreeAcrossTurns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const each = maxLedger / entrySize // two of them in turn several times
	var ledgers [2]*ledger
	for i := range ledgers {
		ledgers[i], _ = ledgerIn(t, dir)
	}
	var all sync.WaitGroup
	for i := range ledgers {
		all.Go(func() {
			for range each {
				ledgers[i].add(3, 1)
			}
		})
	}
	all.Wait()
	for i := range ledgers {
		bytes, records := ledgers[i].total()
		if bytes != 3*2*each || records != 2*each {
			t.Errorf("ledger %d, file %d: %d bytes, %d records; want %d, %d", i, ledgers[i].number, bytes, records, 6*each, 2*each)
		}
		if ledgers[i].number < 2 {
			t.Errorf("ledger %d never turned", i)
		}
	}
	entries, err := os.ReadDir(dir + "/" + version)
	if len(entries) != 1 || err != nil {
		t.Errorf("%d files, %v; want the last ledger alone", len(entries), err)
	}
}

// TestLedgersThatAreSlowToTurnAgree, though others have turned twice meanwhile, so that the name of the next ledger is
// free again.
func TestLedgersThatAreSlowToTurnAgree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const each = 200
	var ledgers [8]*ledger
	for i := range ledgers {
		ledgers[i], _ = ledgerIn(t, dir)
	}
	var all sync.WaitGroup
	for i := range ledgers {
		all.Go(func() {
			l := ledgers[i]
			for n := range each {
				l.add(3, 1)
				if n%5 == 0 {
					l.mu.Lock()
					l.file.Write(encodeEntry(0, closing))
					l.mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	const want = each * int64(len(ledgers))
	for i := range ledgers {
		if bytes, records := ledgers[i].total(); bytes != 3*want || records != want {
			t.Errorf("ledger %d, file %d: %d bytes, %d records; want %d, %d", i, ledgers[i].number, bytes, records, 3*want, want)
		}
	}
	if entries, err := os.ReadDir(dir + "/" + version); len(entries) != 1 || err != nil {
		t.Errorf("%d files, %v; want the last ledger alone", len(entries), err)
	}
}

// TestLedgerGoesOnWithTheSum where the next one is there, and empty: another process is about to write the sum, or was
// killed.
func TestLedgerGoesOnWithTheSum(t *testing.T) {
	for _, killed := range []bool{false, true} {
		l, top := ledgerIn(t, t.TempDir())
		l.add(3, 1)
		l.file.Write(encodeEntry(0, closing))
		next, err := beginLedger(top, usageName(2), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer next.Close()
		if killed {
			long := time.Now().Add(-time.Minute)
			if err := top.Chtimes(usageName(2), long, long); err != nil {
				t.Fatal(err)
			}
		}
		l.add(4, 1)
		if !killed {
			next.Write(encodeEntry(3, 1))
		}
		l.add(4, 1)
		if bytes, records := l.total(); bytes != 11 || records != 3 || l.number != 2 {
			t.Errorf("killed %v: ledger %d: %d bytes, %d records; want 11, 3 of ledger 2", killed, l.number, bytes, records)
		}
	}
}

// TestLedgerWithoutSum that another process has made just now, or could not write for long, perhaps while the clock was
// ahead.
func TestLedgerWithoutSum(t *testing.T) {
	for _, by := range []time.Duration{0, -time.Minute, time.Minute} {
		killed := by != 0
		l, top := ledgerIn(t, t.TempDir())
		l.file.Truncate(0)
		l.off = 0
		if killed {
			long := time.Now().Add(by)
			if err := top.Chtimes(usageName(1), long, long); err != nil {
				t.Fatal(err)
			}
		}
		other := &ledger{top: l.top}
		made, err := other.open(top)
		defer other.close()
		if made != killed || err != nil {
			t.Errorf("killed %v: open: to be counted anew: %v, %v", killed, made, err)
		}
		l.add(3, 1)
		other.add(4, 1)
		for _, l := range []*ledger{l, other} {
			if bytes, records := l.total(); bytes != 7 || records != 2 {
				t.Errorf("killed %v: ledger %d: %d bytes, %d records; want 7, 2", killed, l.number, bytes, records)
			}
		}
	}
}

func TestLedgersWithNamesThatNoneHas(t *testing.T) {
	for _, name := range []string{"ffffffff", "80000001", "0000000A", "000000_1", "0x000001", "1", "00000000"} {
		t.Run(name, func(t *testing.T) {
			l, top := ledgerIn(t, t.TempDir())
			l.close()
			if err := top.WriteFile(version+"/"+usagePrefix+name, make([]byte, entrySize), 0o600); err != nil {
				t.Fatal(err)
			}
			if made, err := l.open(top); made || err != nil || l.number != 1 {
				t.Errorf("ledger %d, made %v, %v; want the first, as it was", l.number, made, err)
			}
		})
	}
}

func TestAfterTheLastLedgerComesTheFirst(t *testing.T) {
	l, top := ledgerIn(t, t.TempDir())
	l.close()
	if err := top.Rename(usageName(1), usageName(maxNumber)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.open(top); err != nil {
		t.Fatal(err)
	}
	l.add(3, 1)
	l.file.Write(encodeEntry(0, closing))
	if bytes, records := l.total(); bytes != 3 || records != 1 || l.number != 1 {
		t.Errorf("ledger %d: %d bytes, %d records; want 3, 1 of ledger 1", l.number, bytes, records)
	}
	if n, err := newestLedger(top); n != 1 || err != nil {
		t.Errorf("the newest is %d, %v", n, err)
	}
}

// ledgerIn opens the ledger of the store in dir.
func ledgerIn(t *testing.T, dir string) (*ledger, *os.Root) {
	t.Helper()
	top, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { top.Close() })
	l := &ledger{top: dir}
	if _, err := l.open(top); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	return l, top
}
