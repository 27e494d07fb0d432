package sqlite_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/sqlite"
)

func ExampleOpen() {
	dir, err := os.MkdirTemp("", "larder-example-") // os.UserCacheDir is the place in earnest
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, "pickled gherkins")
	}))
	defer origin.Close()

	s, err := sqlite.Open(filepath.Join(dir, "http.db"), &sqlite.Options{MaxBytes: 100 << 20})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	client := (&larder.Cache{Store: s}).Client()
	for range 2 {
		resp, err := client.Get(origin.URL)
		if err != nil {
			fmt.Println(err)
			return
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Println(larder.Info(resp).Outcome, string(body), err)
	}
	// Output:
	// miss pickled gherkins <nil>
	// hit pickled gherkins <nil>
}

func ExampleStore_Sweep() {
	dir, err := os.MkdirTemp("", "larder-example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	s, err := sqlite.Open(filepath.Join(dir, "http.db"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()

	ctx, now := context.Background(), time.Now()
	for i, keep := range []time.Duration{time.Minute, time.Hour} {
		r := &store.Record{Key: store.Key(fmt.Sprint("key", i)), ID: store.NewID(now), KeepUntil: now.Add(keep)}
		r.URL = fmt.Sprint("https://example.com/", i)
		w, err := s.Create(ctx, r)
		if err != nil {
			fmt.Println(err)
			return
		}
		if err := w.Commit(r); err != nil {
			fmt.Println(err)
		}
		w.Close()
	}
	removed, err := s.Sweep(ctx, now.Add(30*time.Minute)) // in earnest with time.Now, every few minutes
	fmt.Println(removed, "removed,", err)
	for r, err := range s.Find(ctx, store.Query{Host: "example.com"}) {
		fmt.Println(r.URL, err)
	}
	// Output:
	// 1 removed, <nil>
	// https://example.com/1 <nil>
}
