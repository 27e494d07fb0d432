package disk_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/larder-go/larder/store/disk"
)

func ExampleOpen() {
	dir, err := os.MkdirTemp("", "larder-example-") // os.UserCacheDir is the place in earnest
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	s, err := disk.Open(filepath.Join(dir, "http"), &disk.Options{MaxBytes: 100 << 20})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	records, bytes, err := s.Size(context.Background())
	fmt.Println(records, "records,", bytes, "bytes,", err)
	// Output: 0 records, 0 bytes, <nil>
}
