package main

import (
	"bytes"
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/larder-go/larder/internal/errno"
)

// unwritable is an output that takes nothing.
type unwritable struct{ err error }

func (u unwritable) Write([]byte) (int, error) { return 0, u.err }

// TestUnwrittenHelp shows that help and version are not done when nobody could read them.
func TestUnwrittenHelp(t *testing.T) {
	for _, args := range []string{"", "--help", "help", "help get", "get --help", "config", "--version"} {
		for err, want := range map[error]struct {
			code int
			told string
		}{
			syscall.ENOSPC: {exitFailed, "larder: no space left on device\n"},
			errno.EPIPE:    {exitBrokenPipe, ""},
		} {
			var errs bytes.Buffer
			if code := run(t.Context(), strings.Fields(args), nil, unwritable{err}, &errs); code != want.code || errs.String() != want.told {
				t.Errorf("larder %s, %v: exit code %d, says %q; want %d, %q", args, err, code, &errs, want.code, want.told)
			}
		}
	}
}

// TestErrorsNameLarderOnce shows that an error of the package, which names it, is not told with two names.
func TestErrorsNameLarderOnce(t *testing.T) {
	for _, text := range []string{"purge: the disk is gone", "larder: purge: the disk is gone"} {
		var b bytes.Buffer
		tell(&b, errors.New(text))
		if got, want := b.String(), "larder: purge: the disk is gone\n"; got != want {
			t.Errorf("%q is told as %q, want %q", text, got, want)
		}
	}
}
