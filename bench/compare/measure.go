package main

import (
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/larder-go/larder/bench/internal/report"
)

// sample is what one operation took on average: nanoseconds of the whole process, garbage collection and background
// work included, and what it allocated.
type sample struct {
	cpu, wall     float64
	bytes, allocs float64
}

// measure lets workers do n more operations of j, or those who do it have their turn.
func measure(j *job, n, workers int) (sample, error) {
	if j.turn != nil {
		return j.turn()
	}
	each := n / workers
	do := make([]func(int) error, workers)
	for w := range do {
		do[w] = j.worker()
	}
	errs := make([]error, workers)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	cpu, start := cpuTime(), time.Now()
	if workers == 1 {
		errs[0] = repeat(do[0], j.done, each)
	} else {
		var wg sync.WaitGroup
		for w := range do {
			wg.Go(func() { errs[w] = repeat(do[w], j.done+w*each, each) })
		}
		wg.Wait()
	}
	wall := time.Since(start)
	cpu = cpuTime() - cpu
	runtime.ReadMemStats(&after)
	n = each * workers
	j.done += n
	for _, err := range errs {
		if err != nil {
			return sample{}, err
		}
	}
	per := 1 / float64(n)
	return sample{cpu: float64(cpu) * per, wall: float64(wall) * per,
		bytes: float64(after.TotalAlloc-before.TotalAlloc) * per, allocs: float64(after.Mallocs-before.Mallocs) * per}, nil
}

func repeat(do func(int) error, from, n int) error {
	for i := range n {
		if err := do(from + i); err != nil {
			return err
		}
	}
	return nil
}

// cpuTime returns the time that the process has used, user and system.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // RUSAGE_SELF is always valid
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func cpu(s sample) float64       { return s.cpu }
func wall(s sample) float64      { return s.wall }
func heapBytes(s sample) float64 { return s.bytes }
func allocs(s sample) float64    { return s.allocs }

func (e *entry) min(what func(sample) float64) float64 {
	return what(slices.MinFunc(e.samples, func(a, b sample) int {
		if what(a) < what(b) {
			return -1
		}
		return 1
	}))
}

func (e *entry) median(what func(sample) float64) float64 {
	values := make([]float64, len(e.samples))
	for i, s := range e.samples {
		values[i] = what(s)
	}
	return report.Median(values)
}

// ratio returns the median over the rounds of what e took, less that of minus if it is not nil, to that of other.
func (e *entry) ratio(by func(sample) float64, minus, other *entry) float64 {
	values := make([]float64, len(e.samples))
	for i, s := range e.samples {
		values[i] = by(s)
		if minus != nil {
			values[i] -= by(minus.samples[i])
		}
		values[i] /= by(other.samples[i])
	}
	return report.Median(values)
}

// beyond returns the median over the rounds of e's CPU time less that of other.
func (e *entry) beyond(other *entry) float64 {
	values := make([]float64, len(e.samples))
	for i, s := range e.samples {
		values[i] = s.cpu - other.samples[i].cpu
	}
	return report.Median(values)
}
