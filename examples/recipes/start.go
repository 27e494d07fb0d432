package recipes

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store/disk"
)

// fetch gets a URL, writes its body to w, and says how the response came about.
func fetch(client *http.Client, url string, w io.Writer) (larder.Outcome, error) {
	resp, err := client.Get(url)
	if err != nil {
		return larder.None, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, resp.Body); err != nil { // what is read to its end is stored
		return larder.None, err
	}
	return larder.Info(resp).Outcome, nil
}

// lasting returns a client whose responses are kept in a folder. End it with the function, so that what is under way is
// stored.
func lasting(dir string) (*http.Client, func(context.Context) error, error) {
	files, err := disk.Open(dir, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("the cache: %w", err)
	}
	cache := &larder.Cache{Store: files}
	end := func(ctx context.Context) error {
		cache.Close(ctx)
		return files.Close()
	}
	return cache.Client(), end, nil
}
