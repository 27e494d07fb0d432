package main

import (
	"math"
	"math/rand/v2"
	"sort"
)

// trace is a row of requests for records by number. Those from keys on are asked for once, by a scan, and do not count.
type trace struct {
	keys     int
	requests []int32
	mixed    bool
}

// size returns the bytes of a body: 1 KB, or between 256 bytes and 64 KB with a mean of about 12 KB.
func (t *trace) size(i int) int {
	if !t.mixed {
		return 1 << 10
	}
	u := rand.New(rand.NewPCG(uint64(i), 7)).Float64()
	return int(256 * math.Pow(256, u))
}

var traces = []struct {
	name string
	make func(keys, requests int, seed uint64) *trace
}{
	{"Zipf 1.0", func(k, n int, seed uint64) *trace { return zipf(k, n, seed, 1.0) }},
	{"Zipf 0.8", func(k, n int, seed uint64) *trace { return zipf(k, n, seed, 0.8) }},
	{"Zipf 1.0, mixed sizes", func(k, n int, seed uint64) *trace {
		t := zipf(k, n, seed, 1.0)
		t.mixed = true
		return t
	}},
	{"Zipf 1.0 + scans", scans},
	{"shifting slowly", func(k, n int, seed uint64) *trace { return shifting(k, n, seed, 200) }},
	{"shifting fast", func(k, n int, seed uint64) *trace { return shifting(k, n, seed, 20) }},
	{"shifting at once", func(k, n int, seed uint64) *trace { return jumping(k, n, seed, 10) }},
	{"loop over twice the capacity", loop},
}

// ranks returns a source of ranks from 0 on, where the popularity of a rank is 1/(rank+1)^s.
func ranks(keys int, seed uint64, s float64) func() int {
	sum := make([]float64, keys)
	total := 0.0
	for i := range sum {
		total += math.Pow(float64(i+1), -s)
		sum[i] = total
	}
	rnd := rand.New(rand.NewPCG(seed, 1))
	return func() int { return sort.SearchFloat64s(sum, rnd.Float64()*total) }
}

func zipf(keys, requests int, seed uint64, s float64) *trace {
	t := &trace{keys: keys}
	next := ranks(keys, seed, s)
	for range requests {
		t.requests = append(t.requests, int32(next()))
	}
	return t
}

// scans asks for 5,000 other records in a row after every 20,000 requests.
func scans(keys, requests int, seed uint64) *trace {
	t := &trace{keys: keys}
	next := ranks(keys, seed, 1.0)
	other := int32(keys)
	for n := range requests {
		if n > 0 && n%20_000 == 0 {
			for range 5000 {
				t.requests = append(t.requests, other)
				other++
			}
		}
		t.requests = append(t.requests, int32(next()))
	}
	return t
}

// shifting makes the least popular record the most popular one, after every so many requests.
func shifting(keys, requests int, seed uint64, every int) *trace {
	t := &trace{keys: keys}
	next := ranks(keys, seed, 1.0)
	for n := range requests {
		t.requests = append(t.requests, int32((next()-n/every%keys+keys)%keys))
	}
	return t
}

// jumping gives all records other ranks so many times in the trace.
func jumping(keys, requests int, seed uint64, times int) *trace {
	t := &trace{keys: keys}
	next := ranks(keys, seed, 1.0)
	rnd := rand.New(rand.NewPCG(seed, 2))
	order := rnd.Perm(keys)
	for n := range requests {
		if n%(requests/times) == 0 {
			rnd.Shuffle(keys, func(i, j int) { order[i], order[j] = order[j], order[i] })
		}
		t.requests = append(t.requests, int32(order[next()]))
	}
	return t
}

// loop asks for a fifth of the keys in turn, over and over.
func loop(keys, requests int, seed uint64) *trace {
	t := &trace{keys: keys}
	for n := range requests {
		t.requests = append(t.requests, int32((n+int(seed))%(keys/5)))
	}
	return t
}
