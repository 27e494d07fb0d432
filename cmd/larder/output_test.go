package main

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/internal/units"
)

func TestDurationsForPeople(t *testing.T) {
	for in, want := range map[time.Duration]string{
		time.Millisecond: "0s", 90 * time.Second: "2m", 59 * time.Second: "59s", 59700 * time.Millisecond: "1m", 15 * time.Minute: "15m",
		time.Hour - time.Second: "1h", 90 * time.Minute: "2h", 47 * time.Hour: "47h", 2 * units.Day: "2d", 36 * time.Hour: "36h",
		14 * units.Day: "14d", 105000 * units.Day: "105000d", larder.Forever: "forever", 0: "0s", -time.Minute: "0s",
	} {
		if got := durationText(in); got != want {
			t.Errorf("durationText(%d) = %s, want %s", in, got, want)
		}
	}
}

func TestSizesForPeople(t *testing.T) {
	for in, want := range map[int64]string{
		1: "1 B", 1023: "1023 B", 4096: "4.0 KiB", 1536: "1.5 KiB", 512 << 20: "512 MiB", 1e7: "9.5 MiB", 2 << 30: "2.0 GiB", 1e9: "954 MiB",
		3 << 40: "3.0 TiB", 5000 << 40: "5000 TiB", 1048473: "1.0 MiB",
	} {
		if got := bytesText(in); got != want {
			t.Errorf("bytesText(%d) = %s, want %s", in, got, want)
		}
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain":            "plain",
		"größe 東京":         "größe 東京",
		"\x1b[2J":          `\x1b[2J`,
		"a\nb\tc\x00":      `a\nb\tc\x00`,
		"\u009b31m":        `\u009b31m`,
		"\u202eevil\u2066": `\u202eevil\u2066`,
		"\xff\xfe":         `\xff\xfe`,
		"\U000e0041":       `\U000e0041`,
		"\ufffd":           `\ufffd`,
		`a\x1b`:            `a\x1b`,
	} {
		if got := printable(in); got != want {
			t.Errorf("printable(%q) = %s, want %s", in, got, want)
		}
	}
}

// broken is a writer to which nothing can be written.
type broken struct{ error }

func (b broken) Write([]byte) (int, error) { return 0, b.error }

func TestFaultOfOutputIsToldOnce(t *testing.T) {
	full := errors.New("no space left")
	cmd := new(cobra.Command)
	cmd.SetOut(broken{full})
	for _, lines := range []int{1, 10_000} { // which are written at the end, and before
		err := buffered(cmd, func(w io.Writer) (err error) {
			for range lines {
				err = detail(w, "name", "value")
			}
			return err
		})
		if err == nil || err.Error() != full.Error() {
			t.Errorf("%d lines: %q", lines, err)
		}
	}
}
