package main

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

var testsFile = flag.String("tests", os.Getenv(testsVariable), "the `file` of the public cache tests, by its full path")

// TestCacheTests runs the public tests against all that larder is, and fails where one does not pass that passed
// before. They are not part of the repository: docs/conformance.md tells how to get them.
func TestCacheTests(t *testing.T) {
	if *testsFile == "" {
		t.Skipf("neither -tests nor %s says where the public cache tests are", testsVariable)
	}
	command := filepath.Join(t.TempDir(), "larder")
	if out, err := exec.Command("go", "build", "-o", command, "github.com/larder-go/larder/cmd/larder").CombinedOutput(); err != nil {
		t.Fatalf("building the command: %v\n%s", err, out)
	}
	t.Run("against", func(t *testing.T) {
		for _, against := range targets {
			t.Run(against, func(t *testing.T) {
				t.Parallel()
				var out, errs bytes.Buffer
				err := run(t.Context(), []string{"-tests", *testsFile, "-against", against, "-larder", command, "-expect", "passed/" + against + ".txt"}, &out, &errs)
				t.Logf("%s%s", &errs, &out)
				if err != nil {
					t.Error(err)
				}
			})
		}
	})
}
