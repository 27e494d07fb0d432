package units_test

import (
	"testing"
	"time"

	"github.com/larder-go/larder/internal/units"
)

func TestDurations(t *testing.T) {
	for _, test := range []struct {
		in   string
		want time.Duration // 0: an error
	}{
		{"1ms", time.Millisecond}, {"90s", 90 * time.Second}, {"15m", 15 * time.Minute}, {"1h30m", 90 * time.Minute}, {".5s", time.Second / 2},
		{"2d", 2 * units.Day}, {"1.5d", 36 * time.Hour}, {"2w", 14 * units.Day}, {"15000w", 105000 * units.Day},
		{"", 0}, {"0", 0}, {"0s", 0}, {"-1h", 0}, {"+1h", 0}, {"-1d", 0}, {"d", 0}, {"1", 0}, {"1 d", 0}, {"NaNd", 0}, {"Infd", 0}, {"1e3d", 0},
		{"20000w", 0}, {"1d2h", 0}, {"1.2.3d", 0},
	} {
		got, err := units.Duration(test.in)
		if got != test.want || (err == nil) != (test.want != 0) {
			t.Errorf("Duration(%q) = %v, %v; want %v", test.in, got, err, test.want)
		}
		if again, err := units.Duration(units.DurationText(got)); test.want != 0 && again != got {
			t.Errorf("what is written of %v is read as %v, %v", got, again, err)
		}
	}
	for d, want := range map[time.Duration]string{time.Hour: "1h", 90 * time.Minute: "1h30m", 10 * time.Second: "10s", 20 * time.Minute: "20m",
		time.Hour + time.Second: "1h0m1s", 100 * time.Millisecond: "100ms", 10 * time.Hour: "10h"} {
		if got := units.DurationText(d); got != want {
			t.Errorf("DurationText(%d) = %s, want %s", d, got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	for _, test := range []struct {
		in   string
		want int64 // 0: an error
		text string
	}{
		{"1", 1, "1"}, {"1023", 1023, "1023"}, {"4096", 4096, "4KiB"}, {"1.5KiB", 1536, "1536"}, {"512MiB", 512 << 20, "512MiB"}, {"10MB", 1e7, "10000000"},
		{"2GiB", 2 << 30, "2GiB"}, {"5000TiB", 5000 << 40, "5000TiB"}, {"100B", 100, "100"}, {"none", -1, "none"},
		{"", 0, ""}, {"0", 0, ""}, {"-1", 0, ""}, {"1 GB", 0, ""}, {"GB", 0, ""}, {"1X", 0, ""}, {"NaN", 0, ""}, {"1e9", 0, ""}, {"9999999999GiB", 0, ""}, {"0.1", 0, ""},
	} {
		got, err := units.Size(test.in)
		if got != test.want || (err == nil) != (test.want != 0) {
			t.Errorf("Size(%q) = %d, %v; want %d", test.in, got, err, test.want)
		} else if text := units.SizeText(got); err == nil && text != test.text {
			t.Errorf("SizeText(%d) = %s, want %s", got, text, test.text)
		}
	}
}
