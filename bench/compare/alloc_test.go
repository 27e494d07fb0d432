//go:build !race

package main

import "testing"

// TestAllocTargets fails when larder allocates more than it sets itself as a limit (docs/performance.md). What counts
// is all that the process allocates for one request through http.Client, read to its end; making the request does not
// count, unless it is for something new each time.
func TestAllocTargets(t *testing.T) {
	scratch = t.TempDir()
	hit := func(c cache, size int) func() (*job, error) {
		return func() (*job, error) { return c.hit(size, 1, byClient) }
	}
	for _, test := range []struct {
		name   string
		open   func() (*job, error)
		n      int
		allocs float64 // 0: any number
		bytes  float64 // 0: any number
	}{
		{"a hit of 1 KB in memory", hit(larderMemory, kb), 1000, 14, 0},
		{"a hit of 1 MB in memory", hit(larderMemory, mb), 100, 14, 4 * kb},
		{"a hit of 1 MB on disk", hit(larderDisk, mb), 100, 0, 64 * kb},
		{"a hit of 1 MB on SQLite", hit(larderSQLite, mb), 100, 0, 64 * kb},
		{"1 KB stored in memory", func() (*job, error) { return larderMemory.store(kb) }, 1000, 38, 8.3 * kb},
		{"validated in memory by a 304", func() (*job, error) { return larderMemory.validate(kb, 1) }, 1000, 113, 13.5 * kb},
		{"1 MB stored in memory", func() (*job, error) { return larderMemory.store(mb) }, 20, 0, 1.3 * mb},
	} {
		t.Run(test.name, func(t *testing.T) {
			j, err := test.open()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := measure(j, 10, 1); err != nil { // fills pools
				t.Fatal(err)
			}
			s, err := measure(j, test.n, 1)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%.1f allocations, %.0f bytes", s.allocs, s.bytes)
			if test.allocs > 0 && s.allocs >= test.allocs+0.5 { // something else may allocate now and then
				t.Errorf("%.1f allocations, want at most %.0f", s.allocs, test.allocs)
			}
			if test.bytes > 0 && s.bytes > test.bytes {
				t.Errorf("%.0f bytes allocated, want at most %.0f", s.bytes, test.bytes)
			}
			if err := j.close(); err != nil {
				t.Error(err)
			}
		})
	}
}
