package disk

import (
	"fmt"
	"testing"

	"github.com/larder-go/larder/store"
)

func TestSamplesGoRound(t *testing.T) {
	s, _ := openTwo(t)
	const records = 5*sampleSize + sampleSize/2
	keys := map[string]store.Key{} // by the name of the place
	for i := range records {
		key := store.Key(fmt.Sprint(i))
		keys[placeOf(t, s, key).name] = key
		r := put(t, s, key)
		switch i % 10 {
		case 0: // in the folder, where there is an update, too
			r = put(t, s, key, r.ID)
			fallthrough
		case 1:
			if err := s.Update(t.Context(), r.Clone()); err != nil {
				t.Fatal(err)
			}
		}
	}
	seen := map[string]bool{}
	sample := func() (n int, complete bool) {
		all, complete := s.sample()
		for _, h := range all {
			seen[h.place.name] = true
			if h.cost != 8192 && h.cost != 12288 || h.used.IsZero() {
				t.Errorf("%s takes %d bytes, was used %v", h.group.id, h.cost, h.used)
			}
		}
		return len(all), complete
	}
	for i := range records / sampleSize {
		if n, complete := sample(); n != sampleSize || complete || len(seen) != (i+1)*sampleSize {
			t.Fatalf("sample %d: %d records, complete %v; %d in all so far", i, n, complete, len(seen))
		}
	}
	// The rest is less than a sample: it begins again.
	if n, complete := sample(); n != sampleSize || complete {
		t.Errorf("the last of the round: %d records, complete %v", n, complete)
	}
	// So it does when hardly anything is left.
	const left = sampleSize - 1
	for name, key := range keys {
		if len(keys) == left {
			break
		}
		if err := s.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		delete(keys, name)
	}
	for range 2 {
		if n, complete := sample(); n != left || !complete {
			t.Errorf("of %d: %d records, complete %v", left, n, complete)
		}
	}
}
