package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/spf13/cobra"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/internal/har"
	"github.com/larder-go/larder/internal/view"
	"github.com/larder-go/larder/store"
)

// exported is what came of an export, in JSON.
type exported struct {
	Exported int     `json:"exported"`
	Bytes    int64   `json:"bytes"` // of their bodies
	Damaged  int     `json:"damaged"`
	Gone     int     `json:"gone"` // removed by somebody meanwhile
	Seconds  float64 `json:"seconds"`
}

func newExport(a *app) *cobra.Command {
	var f filter
	var output string
	var quiet, asJSON bool
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write what is stored as a HAR",
		Long: `Write the stored responses as an HTTP archive (HAR 1.2), which the developer tools of browsers open
and larder import reads. The file is made or replaced when all of it is written.

Bodies are without content coding (gzip, deflate, zstd), and in base64 unless they are UTF-8. What
was redacted stays so. Beware of who gets the file: answers to requests with credentials are in it.`,
		Example: `  larder export -o all.har
  larder export --host api.example.com --newer-than 1h -o today.har
  larder export | jq -r '.log.entries[].request.url'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			began := time.Now()
			q, given, err := f.query(cmd, began)
			if err != nil {
				return err
			}
			c, closeStore, err := a.cache(cmd, false)
			if err != nil {
				return err
			}
			defer closeStore()
			bar := newProgress(cmd, quiet, "exporting", "responses")
			defer bar.done()
			if n, _, err := c.Size(cmd.Context()); err == nil && !given {
				bar.total(int64(n))
			}
			e := &export{c: c, bar: bar}
			toFile := output != "" && output != "-"
			if toFile {
				err = writeFile(output, func(w io.Writer) error { return e.all(cmd.Context(), q, w) })
			} else {
				err = e.all(cmd.Context(), q, cmd.OutOrStdout())
			}
			bar.done()
			e.Seconds = secondsSince(began)
			switch {
			case err != nil:
			case asJSON && !toFile: // standard output holds the HAR
				err = writeJSON(cmd.ErrOrStderr(), e.exported)
			case asJSON:
				err = writeJSON(cmd.OutOrStdout(), e.exported)
			case toFile:
				err = e.write(cmd.OutOrStdout())
			}
			if err == nil && e.Damaged > 0 {
				err = &exitError{code: exitFailed}
			}
			return err
		},
	}
	f.flags(cmd, a)
	cmd.Flags().StringVarP(&output, "output", "o", "", "write to `FILE`; - is standard output, which is the default")
	quietFlag(cmd, &quiet)
	cmd.Flags().BoolVar(&asJSON, "json", false, "write the summary as JSON; on standard error unless there is --output")
	return cmd
}

// export is a HAR that is being written.
type export struct {
	exported
	c   *larder.Cache
	bar *progress
}

// all writes what q means.
func (e *export) all(ctx context.Context, q store.Query, out io.Writer) error {
	w := har.NewWriter(out, "larder", version())
	for r, left := range e.c.Entries(ctx, q) {
		var err error
		if left == nil {
			left, err = e.one(ctx, w, r)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return err
		case left == nil:
			e.Exported++
			e.Bytes += r.Size
			e.bar.add(r.Size)
		case errors.Is(left, store.ErrNotFound):
			e.Gone++
		case errors.Is(left, store.ErrCorrupt):
			e.Damaged++
			tell(e.bar, left)
		default:
			return left
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return w.Close()
}

// one writes r, or returns why it is left out.
func (e *export) one(ctx context.Context, w *har.Writer, r *store.Record) (left, err error) {
	body, left := e.c.Body(ctx, r)
	if left != nil {
		return left, nil
	}
	defer body.Close()
	s, left := har.Prepare(r, body, decode)
	if left != nil {
		return fmt.Errorf("%s: %w", r.URL, left), nil
	}
	return nil, w.Record(s)
}

// decode undoes a content coding.
func decode(coding string, body io.Reader) (io.Reader, error) {
	if coding == "zstd" {
		return zstd.NewReader(body, zstd.WithDecoderConcurrency(1)) // which has no goroutines to be ended
	}
	return view.Unpacker(coding, body)
}

func (e *exported) write(w io.Writer) error {
	err := detailOf(w, "exported", e.Exported, e.Bytes, e.Seconds)
	if e.Damaged > 0 {
		err = errors.Join(err, detail(w, "damaged", "%d", e.Damaged))
	}
	if e.Gone > 0 {
		err = errors.Join(err, detail(w, "gone", "%d", e.Gone))
	}
	return err
}
