package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"
	"time"
)

// warmState keeps in a file which URLs of a list are done, for larder warm --resume: how many of them were taken, and
// which of these are not done, because they failed or their turn never came. It is safe for concurrent use.
type warmState struct {
	path string
	had  savedState // of the run before
	left map[int64]bool

	mu    sync.Mutex
	taken int64
	sum   hash.Hash // of the URLs taken
	open  map[int64]bool
	saved time.Time
	other bool // the file is of another list, and must stay as it is
}

// savedState is the file.
type savedState struct {
	Version int     `json:"larder_warm"`
	Taken   int64   `json:"taken"`
	Digest  string  `json:"sha256"` // of the URLs taken, each with a newline
	Open    []int64 `json:"open"`
}

const (
	stateVersion = 1
	saveEvery    = time.Second
)

// openState reads the file, which need not be there yet.
func openState(path string) (*warmState, error) {
	s := &warmState{path: path, sum: sha256.New(), open: make(map[int64]bool), left: make(map[int64]bool), saved: time.Now()}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("--resume: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&s.had); err != nil || s.had.Version != stateVersion {
		return nil, fmt.Errorf("--resume %s: larder warm has not written this file", path)
	}
	for _, i := range s.had.Open {
		s.left[i] = true
	}
	return s, nil
}

// take counts the next URL of the list, and returns its number and whether a run before has done it.
func (s *warmState) take(url string) (index int64, done bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	index = s.taken
	s.taken++
	io.WriteString(s.sum, url+"\n")
	if s.taken == s.had.Taken && s.digest() != s.had.Digest {
		return index, false, s.otherList()
	}
	if done = index < s.had.Taken && !s.left[index]; !done {
		s.open[index] = true
	}
	return index, done, nil
}

// end is called at the end of the list.
func (s *warmState) end() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken < s.had.Taken {
		return s.otherList()
	}
	return nil
}

func (s *warmState) otherList() error {
	s.other = true
	return fmt.Errorf("--resume %s is of another list: its first %s differ; without the file all is begun anew", s.path, countText(int(s.had.Taken), "URL"))
}

func (s *warmState) digest() string { return hex.EncodeToString(s.sum.Sum(nil)) }

// done notes that a URL is done.
func (s *warmState) done(index int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, index)
}

// save writes the file, if now is set or saveEvery has passed. It is called by one goroutine at a time. What the run
// before left, and this one has not reached yet, stays.
func (s *warmState) save(now bool) error {
	s.mu.Lock()
	if s.other || !now && time.Since(s.saved) < saveEvery {
		s.mu.Unlock()
		return nil
	}
	s.saved = time.Now()
	out := savedState{Version: stateVersion, Taken: s.taken, Digest: s.digest(), Open: slices.Sorted(maps.Keys(s.open))}
	if s.taken < s.had.Taken {
		out.Taken, out.Digest = s.had.Taken, s.had.Digest
		for _, i := range s.had.Open { // which is sorted
			if i >= s.taken {
				out.Open = append(out.Open, i)
			}
		}
	}
	s.mu.Unlock()
	return writeFile(context.Background(), s.path, func(w io.Writer) error { return json.NewEncoder(w).Encode(out) })
}
