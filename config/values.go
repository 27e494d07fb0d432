package config

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/internal/units"
)

// Duration is a positive duration: 90s, 15m, 2h, 7d, 2w. 0: the default.
type Duration time.Duration

// UnmarshalText reads it.
func (d *Duration) UnmarshalText(text []byte) error { return setDuration(d, text, "") }

// MarshalText writes it as UnmarshalText reads it.
func (d Duration) MarshalText() ([]byte, error) { return durationText(d), nil }

// Window is a Duration, or never. 0: the default.
type Window time.Duration

// UnmarshalText reads it.
func (w *Window) UnmarshalText(text []byte) error { return setDuration(w, text, "never") }

// MarshalText writes it as UnmarshalText reads it.
func (w Window) MarshalText() ([]byte, error) { return durationText(w), nil }

// TTL is a Duration, or forever or never. 0: the headers decide.
type TTL time.Duration

// UnmarshalText reads it.
func (t *TTL) UnmarshalText(text []byte) error { return setDuration(t, text, "forever or never") }

// MarshalText writes it as UnmarshalText reads it.
func (t TTL) MarshalText() ([]byte, error) { return durationText(t), nil }

// setDuration reads a duration, or one of the words that it may be instead.
func setDuration[T ~int64](to *T, text []byte, words string) error {
	s := string(text)
	if s != "" && strings.Contains(" "+words+" ", " "+s+" ") {
		switch s {
		case "forever":
			*to = T(larder.Forever)
			return nil
		case "never":
			*to = T(larder.Never)
			return nil
		}
	}
	d, err := units.Duration(s)
	if err != nil && words != "" {
		err = fmt.Errorf("%w, or %s", err, words)
	}
	*to = T(d)
	return err
}

func durationText[T ~int64](d T) []byte {
	switch time.Duration(d) {
	case larder.Forever:
		return []byte("forever")
	case larder.Never:
		return []byte("never")
	}
	return []byte(units.DurationText(time.Duration(d)))
}

// Size is a positive number of bytes: 4096, 512MiB, 2GB. 0: the default.
type Size int64

// UnmarshalText reads it.
func (s *Size) UnmarshalText(text []byte) error {
	n, err := units.Size(string(text))
	if err != nil || n < 0 {
		return errors.New("want a size such as 4096, 512MiB or 2GB")
	}
	*s = Size(n)
	return nil
}

// MarshalText writes it as UnmarshalText reads it.
func (s Size) MarshalText() ([]byte, error) { return []byte(units.SizeText(int64(s))), nil }

// Limit is a Size, or none, which is -1. 0: the default.
type Limit int64

// UnmarshalText reads it.
func (l *Limit) UnmarshalText(text []byte) error {
	n, err := units.Size(string(text))
	if err != nil {
		return errors.New("want a size such as 4096, 512MiB or 2GB, or none")
	}
	*l = Limit(n)
	return nil
}

// MarshalText writes it as UnmarshalText reads it.
func (l Limit) MarshalText() ([]byte, error) { return []byte(units.SizeText(int64(l))), nil }

// Text is text in which ${NAME} stands for the value of an environment variable, and $${ for ${. It is kept unexpanded,
// so that it shows no secret that is not in the file itself.
type Text string

// UnmarshalText reads it. Each variable in it must be set.
func (t *Text) UnmarshalText(text []byte) error {
	*t = Text(text)
	_, err := t.Expand()
	return err
}

// Literal returns the Text that expands to s, whatever is in it.
func Literal(s string) Text { return Text(strings.ReplaceAll(s, "${", "$${")) }

var (
	reference = regexp.MustCompile(`\$?\$\{[^}]*\}?`)
	variable  = regexp.MustCompile(`^\$\{[A-Za-z_][A-Za-z0-9_]*\}$`)
)

// Expand returns t with the values of its variables. In the user and password of a URL, before the @, values are
// escaped, so that a variable holds the password itself. A variable that is not set, or empty, is an error. Errors
// quote no values.
func (t Text) Expand() (string, error) {
	before, rest, _ := strings.Cut(string(t), "://")
	user := len(before) + len("://") + strings.LastIndexByte(rest, '@') // where the user ends, if there is one
	var b strings.Builder
	end := 0
	for _, at := range reference.FindAllStringIndex(string(t), -1) {
		ref := string(t[at[0]:at[1]])
		b.WriteString(string(t[end:at[0]]))
		end = at[1]
		if strings.HasPrefix(ref, "$$") {
			b.WriteString(ref[1:])
			continue
		}
		if !variable.MatchString(ref) {
			return "", errors.New("want ${NAME} with the name of an environment variable, or $${ for ${ itself")
		}
		name := ref[2 : len(ref)-1]
		value := os.Getenv(name)
		if value == "" {
			return "", fmt.Errorf("the environment variable %s is not set, or empty", name)
		}
		if len(before) < at[0] && at[1] <= user {
			value = strings.TrimPrefix(url.UserPassword("", value).String(), ":")
		}
		b.WriteString(value)
	}
	b.WriteString(string(t[end:]))
	return b.String(), nil
}
