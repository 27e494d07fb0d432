package disk

import "testing"

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
