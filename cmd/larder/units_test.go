package main

import (
	"testing"
	"time"

	"github.com/larder-go/larder"
)

func TestDurations(t *testing.T) {
	for _, test := range []struct {
		in   string
		want time.Duration // 0: an error
		text string
	}{
		{"1ms", time.Millisecond, "0s"},
		{"90s", 90 * time.Second, "2m"},
		{"59s", 59 * time.Second, "59s"},
		{"59.7s", 59700 * time.Millisecond, "1m"},
		{"15m", 15 * time.Minute, "15m"},
		{"59m59s", time.Hour - time.Second, "1h"},
		{"1h30m", 90 * time.Minute, "2h"},
		{"47h", 47 * time.Hour, "47h"},
		{"2d", 2 * day, "2d"},
		{"1.5d", 36 * time.Hour, "36h"},
		{"2w", 14 * day, "14d"},
		{"15000w", 105000 * day, "105000d"},
		{"", 0, ""}, {"0", 0, ""}, {"0s", 0, ""}, {"-1h", 0, ""}, {"-1d", 0, ""}, {"d", 0, ""}, {"1", 0, ""}, {"1 d", 0, ""},
		{"NaNd", 0, ""}, {"Infd", 0, ""}, {"20000w", 0, ""}, {"1d2h", 0, ""},
	} {
		got, err := parseDuration(test.in)
		if got != test.want || (err == nil) != (test.want != 0) {
			t.Errorf("parseDuration(%q) = %v, %v; want %v", test.in, got, err, test.want)
		} else if err == nil && durationText(got) != test.text {
			t.Errorf("durationText(%v) = %s, want %s", got, durationText(got), test.text)
		}
	}
	for d, want := range map[time.Duration]string{time.Hour: "1h", 90 * time.Minute: "1h30m", 10 * time.Second: "10s", 20 * time.Minute: "20m",
		time.Hour + time.Second: "1h0m1s", 100 * time.Millisecond: "100ms", 10 * time.Hour: "10h"} {
		if got := exactText(d); got != want {
			t.Errorf("exactText(%d) = %s, want %s", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{larder.Forever: "forever", 0: "0s", -time.Minute: "0s"} {
		if got := durationText(d); got != want {
			t.Errorf("durationText(%d) = %s, want %s", d, got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	for _, test := range []struct {
		in   string
		want int64 // 0: an error
		text string
	}{
		{"1", 1, "1 B"},
		{"1023", 1023, "1023 B"},
		{"4096", 4096, "4.0 KiB"},
		{"1.5KiB", 1536, "1.5 KiB"},
		{"512MiB", 512 << 20, "512 MiB"},
		{"10MB", 1e7, "9.5 MiB"},
		{"2GiB", 2 << 30, "2.0 GiB"},
		{"1000000000", 1e9, "954 MiB"},
		{"3TiB", 3 << 40, "3.0 TiB"},
		{"5000TiB", 5000 << 40, "5000 TiB"},
		{"1023.9KiB", 1048473, "1.0 MiB"},
		{"", 0, ""}, {"0", 0, ""}, {"-1", 0, ""}, {"1 GB", 0, ""}, {"GB", 0, ""}, {"1X", 0, ""}, {"NaN", 0, ""}, {"9999999999GiB", 0, ""}, {"0.1", 0, ""},
	} {
		got, err := parseBytes(test.in)
		if got != test.want || (err == nil) != (test.want != 0) {
			t.Errorf("parseBytes(%q) = %d, %v; want %d", test.in, got, err, test.want)
		} else if err == nil && bytesText(got) != test.text {
			t.Errorf("bytesText(%d) = %s, want %s", got, bytesText(got), test.text)
		}
	}
	if n, err := parseBytes("none"); n != -1 || err != nil {
		t.Errorf("parseBytes(none) = %d, %v", n, err)
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
