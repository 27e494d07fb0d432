package rfc9111

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestDates(t *testing.T) {
	want := time.Date(1994, time.November, 6, 8, 49, 37, 0, time.UTC)
	at2050 := time.Date(2050, time.August, 18, 2, 1, 18, 0, time.UTC)
	for _, c := range []struct {
		name, date string
		want       time.Time // zero: invalid
	}{
		{"IMF-fixdate", "Sun, 06 Nov 1994 08:49:37 GMT", want},
		{"RFC 850", "Sunday, 06-Nov-94 08:49:37 GMT", want},
		{"asctime", "Sun Nov  6 08:49:37 1994", want},
		{"asctime with two digits", "Wed Nov 16 08:49:37 1994", want.AddDate(0, 0, 10)},
		{"a Saturday", "Sat, 05 Nov 1994 08:49:37 GMT", want.AddDate(0, 0, -1)},
		{"a Saturday in full", "Saturday, 05-Nov-94 08:49:37 GMT", want.AddDate(0, 0, -1)},
		{"white space around it", "  Sun, 06 Nov 1994 08:49:37 GMT\t", want},
		{"a day in upper case", "SUN, 06 Nov 1994 08:49:37 GMT", want},
		{"a month in lower case", "Sun, 06 nov 1994 08:49:37 GMT", want},
		{"a zone in mixed case", "Sun, 06 Nov 1994 08:49:37 gMT", want},
		{"RFC 850 in upper case", "SUNDAY, 06-NOV-94 08:49:37 GMT", want},
		{"the wrong day of the week", "Mon, 06 Nov 1994 08:49:37 GMT", want},
		{"two digits that are soon", "Thursday, 18-Aug-50 02:01:18 GMT", at2050},
		{"two digits less than 50 years ahead", "Friday, 01-Jan-76 00:00:00 GMT", time.Date(2076, 1, 1, 0, 0, 0, 0, time.UTC)},
		{"two digits more than 50 years ahead", "Friday, 01-Jan-77 00:00:00 GMT", time.Date(1977, 1, 1, 0, 0, 0, 0, time.UTC)},
		{"another zone", "Sun, 06 Nov 1994 08:49:37 UTC", time.Time{}},
		{"a zone with letters", "Sun, 06 Nov 1994 08:49:37 AEST", time.Time{}},
		{"a numeric zone", "Sun, 06 Nov 1994 08:49:37 +0000", time.Time{}},
		{"no zone", "Sun, 06 Nov 1994 08:49:37", time.Time{}},
		{"no comma", "Sun 06 Nov 1994 08:49:37 GMT", time.Time{}},
		{"no space after the comma", "Sun,06 Nov 1994 08:49:37 GMT", time.Time{}},
		{"two spaces", "Sun, 06  Nov 1994 08:49:37 GMT", time.Time{}},
		{"no day of the week", "06 Nov 1994 08:49:37 GMT", time.Time{}},
		{"an unknown day of the week in asctime", "Son Nov  6 08:49:37 1994", time.Time{}},
		{"an unknown day of the week", "Son, 06 Nov 1994 08:49:37 GMT", time.Time{}},
		{"a whole day of the week in front of a short date", "Sunday, 06 Nov 1994 08:49:37 GMT", time.Time{}},
		{"a short day of the week in front of RFC 850", "Sun, 06-Nov-94 08:49:37 GMT", time.Time{}},
		{"dashes", "Sun, 06-Nov-1994 08:49:37 GMT", time.Time{}},
		{"two digits of the year", "Sun, 06 Nov 94 08:49:37 GMT", time.Time{}},
		{"one digit of the hour", "Sun, 06 Nov 1994 8:49:37 GMT", time.Time{}},
		{"one digit of the day", "Sun, 6 Nov 1994 08:49:37 GMT", time.Time{}},
		{"points in the time", "Sun, 06 Nov 1994 08.49.37 GMT", time.Time{}},
		{"a thirteenth month", "Sun, 06 Xyz 1994 08:49:37 GMT", time.Time{}},
		{"a day that the month does not have", "Mon, 30 Feb 1994 08:49:37 GMT", time.Time{}},
		{"such a day in RFC 850", "Monday, 30-Feb-94 08:49:37 GMT", time.Time{}},
		{"such a day in asctime", "Mon Feb 30 08:49:37 1994", time.Time{}},
		{"a day before the month begins", "Mon, 00 Nov 1994 08:49:37 GMT", time.Time{}},
		{"a leap day", "Thu, 29 Feb 2024 00:00:00 GMT", time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC)},
		{"a leap day in a year without", "Wed, 29 Feb 2023 00:00:00 GMT", time.Time{}},
		{"a leap second, which no time.Time can hold", "Sat, 31 Dec 2016 23:59:60 GMT", time.Time{}},
		{"second 60", "Sun, 06 Nov 1994 08:49:60 GMT", time.Time{}},
		{"minute 60", "Sun, 06 Nov 1994 08:60:00 GMT", time.Time{}},
		{"the last year", "Fri, 31 Dec 9999 23:59:59 GMT", time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)},
		{"five digits of the year", "Fri, 31 Dec 10000 23:59:59 GMT", time.Time{}},
		{"asctime with a zone", "Sun Nov  6 08:49:37 1994 GMT", time.Time{}},
		{"asctime with a zero", "Sun Nov 06 08:49:37 1994", want},
		{"hour 24", "Sun, 06 Nov 1994 24:00:00 GMT", time.Time{}},
		{"words after it", "Sun, 06 Nov 1994 08:49:37 GMT or so", time.Time{}},
		{"two dates", "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT", time.Time{}},
		{"0", "0", time.Time{}},
		{"-1", "-1", time.Time{}},
		{"nothing", "", time.Time{}},
	} {
		got, ok := parseDate(c.date, t0)
		if ok == c.want.IsZero() || ok && !got.Equal(c.want) {
			t.Errorf("%s: %q: got %v, %v", c.name, c.date, got, ok)
		}
	}
}

func TestTheCenturyOfTwoDigitsIsTheNearest(t *testing.T) {
	for _, c := range []struct{ about, year, want int }{
		{2026, 26, 2026},
		{2026, 75, 2075},
		{2026, 77, 1977},
		{1999, 0, 2000},
		{1999, 60, 1960},
		{2060, 69, 2069},
		{2090, 10, 2110},
		{2090, 95, 2095},
	} {
		s := fmt.Sprintf("Friday, 01-Jan-%02d 00:00:00 GMT", c.year)
		if got, ok := parseDate(s, time.Date(c.about, 3, 1, 0, 0, 0, 0, time.UTC)); !ok || got.Year() != c.want {
			t.Errorf("%s in %d: got %d, want %d", s, c.about, got.Year(), c.want)
		}
	}
	for date, want := range map[string]int{"Saturday, 29-Feb-76 23:59:59 GMT": 2076, "Monday, 01-Mar-76 00:00:01 GMT": 1976} {
		if got, _ := parseDate(date, time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)); got.Year() != want {
			t.Errorf("%s, about 50 years after 1 March 2026: got %d, want %d", date, got.Year(), want)
		}
	}
	if got, ok := parseDate("Monday, 30-Feb-26 00:00:00 GMT", time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)); ok || !got.IsZero() {
		t.Errorf("a day that is none: got %v", got)
	}
	if got, ok := parseDate("Friday, 01-Jan-99 00:00:00 GMT", time.Time{}); !ok || got.Year() != 1999 {
		t.Errorf("the time is not known: got %v", got)
	}
}

func TestADateIsInEachMonth(t *testing.T) {
	for month := time.January; month <= time.December; month++ {
		want := time.Date(1994, month, 6, 0, 0, 0, 0, time.UTC)
		if got, ok := parseDate(want.Format(http.TimeFormat), t0); !ok || !got.Equal(want) {
			t.Errorf("%v: got %v, %v", want, got, ok)
		}
	}
}

// Any byte but those of the grammar, anywhere, makes a date none.
func TestADateOfOtherBytes(t *testing.T) {
	for _, date := range []string{"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"} {
		for i := range date {
			for c := range 256 {
				other := date[:i] + string([]byte{byte(c)}) + date[i+1:]
				digits := strings.Trim(date[i:i+1]+other[i:i+1], " 0123456789") == ""
				if _, ok := parseDate(other, t0); ok && !digits && !strings.EqualFold(other, date) {
					t.Errorf("%q is read", other)
				}
			}
		}
	}
}

// What is read as a date is one in the preferred form too, in either case, and net/http agrees on it.
func FuzzDate(f *testing.F) {
	for _, s := range []string{"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
		"Thu, 29 Feb 2024 00:00:00 GMT", "Thursday, 29-Feb-00 00:00:00 GMT", "0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := parseDate(s, t0)
		if !ok {
			if theirs, err := time.Parse(http.TimeFormat, s); err == nil && theirs.Format(http.TimeFormat) == s {
				t.Errorf("%q is not read", s)
			}
			return
		}
		if got.Location() != time.UTC || got.Nanosecond() != 0 {
			t.Errorf("%q: %v", s, got)
		}
		preferred := got.Format(http.TimeFormat)
		for _, same := range []string{preferred, strings.ToUpper(preferred), strings.ToLower(preferred)} {
			if again, ok := parseDate(same, t0); !ok || !again.Equal(got) {
				t.Errorf("%q is %v, but %q is %v, %v", s, got, same, again, ok)
			}
		}
	})
}
