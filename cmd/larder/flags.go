package main

import (
	"errors"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-go/larder/config"
	"github.com/larder-go/larder/internal/units"
	"github.com/larder-go/larder/internal/view"
)

// textFlag is a flag with a text, which may not be empty: a script that forgot to set a variable would otherwise use
// the user's own store, for example.
type textFlag string

func (f *textFlag) Set(s string) error {
	if s == "" {
		return errors.New("it is empty")
	}
	*f = textFlag(s)
	return nil
}

func (f *textFlag) Type() string { return "string" }

func (f *textFlag) String() string { return string(*f) }

// durationFlag is a flag with a positive duration.
type durationFlag time.Duration

func (f *durationFlag) Set(s string) error {
	d, err := units.Duration(s)
	*f = durationFlag(d)
	return err
}

func (f *durationFlag) Type() string { return "duration" }

func (f *durationFlag) String() string {
	if *f == 0 {
		return ""
	}
	return units.DurationText(time.Duration(*f))
}

// countFlag is a flag with a number of responses.
type countFlag int

func (f *countFlag) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return errors.New("want a number of responses, or 0 for all")
	}
	*f = countFlag(n)
	return nil
}

func (f *countFlag) Type() string { return "number" }

func (f *countFlag) String() string {
	if *f == 0 {
		return ""
	}
	return strconv.Itoa(int(*f))
}

// ttlFlag is a flag for larder.WithTTL.
type ttlFlag time.Duration

func (f *ttlFlag) Set(s string) error { return (*config.TTL)(f).UnmarshalText([]byte(s)) }

func (f *ttlFlag) Type() string { return "duration" }

func (f *ttlFlag) String() string { return view.TTL(time.Duration(*f)) }

// numberFlag is a flag with a positive number.
type numberFlag int

func (f *numberFlag) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n <= 0 {
		return errors.New("want a positive number")
	}
	*f = numberFlag(n)
	return nil
}

func (f *numberFlag) Type() string { return "number" }

func (f *numberFlag) String() string {
	if *f == 0 {
		return ""
	}
	return strconv.Itoa(int(*f))
}

// sizeFlag is a flag with a number of bytes.
type sizeFlag int64

func (f *sizeFlag) Set(s string) error {
	n, err := units.Size(s)
	*f = sizeFlag(n)
	return err
}

func (f *sizeFlag) Type() string { return "size" }

func (f *sizeFlag) String() string {
	if *f == 0 {
		return ""
	}
	return bytesText(int64(*f))
}

func jsonFlag(cmd *cobra.Command, to *bool) {
	cmd.Flags().BoolVar(to, "json", false, "write JSON, one object a line")
}
