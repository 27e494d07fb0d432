package disk

import (
	"os"
	"sync"
	"testing"
)

func TestLedgersAgreeAcrossTurns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const each = maxLedger / entrySize // two of them in turn several times
	var ledgers [2]ledger
	for i := range ledgers {
		top, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer top.Close()
		ledgers[i].top = dir
		if _, err := ledgers[i].open(top); err != nil {
			t.Fatal(err)
		}
		defer ledgers[i].close()
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
