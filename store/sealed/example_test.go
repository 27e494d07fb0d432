package sealed_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/disk"
	"github.com/larder-go/larder/store/memory"
	"github.com/larder-go/larder/store/sealed"
)

func ExampleNew() {
	dir, err := os.MkdirTemp("", "larder-example-")
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

	os.Setenv("MYPROGRAM_CACHE_KEY", "mFXn0jVsUvJH6XbqVHnbPzVEoYTAJlBRVDpl8sHVGVI=") // openssl rand -base64 32
	key, err := sealed.KeyFromEnv("MYPROGRAM_CACHE_KEY")
	if err != nil {
		fmt.Println(err)
		return
	}
	files, err := disk.Open(dir, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer files.Close()
	s, err := sealed.New(files, key)
	if err != nil {
		fmt.Println(err)
		return
	}
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
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte("gherkins")) || bytes.Contains(b, []byte(origin.URL)) {
			fmt.Println("in the clear:", path)
		}
		return err
	})
	fmt.Println(err)
	// Output:
	// miss pickled gherkins <nil>
	// hit pickled gherkins <nil>
	// <nil>
}

// A key is replaced step by step. A store finds the records whose key it has.
func ExampleNew_rotation() {
	ctx := context.Background()
	inner := new(memory.Store)
	old, err := sealed.KeyFromBytes([]byte("the first secret of thirty-two b"))
	if err != nil {
		fmt.Println(err)
		return
	}
	next, err := sealed.KeyFromBytes([]byte("the other secret of thirty-two b"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for step, keys := range [][]sealed.Key{{old}, {old, next}, {next, old}, {next}} {
		s, err := sealed.New(inner, keys...)
		if err != nil {
			fmt.Println(err)
			return
		}
		r := &store.Record{Key: "key", ID: store.NewID(time.Unix(int64(step), 0))}
		w, err := s.Create(ctx, r)
		if err != nil {
			fmt.Println(err)
			return
		}
		if err := w.Commit(r); err != nil {
			fmt.Println(err)
		}
		w.Close()
		found, err := s.Lookup(ctx, "key")
		fmt.Println(len(found), err)
	}
	// Output:
	// 1 <nil>
	// 2 <nil>
	// 3 <nil>
	// 2 <nil>
}
