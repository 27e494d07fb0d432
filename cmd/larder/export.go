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

// exported is the result of an export, in JSON.
type exported struct {
	Exported int     `json:"exported"`
	Bytes    int64   `json:"bytes"` // of their bodies
	Damaged  int     `json:"damaged"`
	Gone     int     `json:"gone"` // removed by somebody meanwhile
	Seconds  float64 `json:"seconds"`
}

// export is a HAR that is being written.
type export struct {
	filter
	output      string
	quiet, json bool

	cache *larder.Cache
	bar   *progress
	exported
}

func newExport(a *app) *cobra.Command {
	e := new(export)
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
		RunE: func(cmd *cobra.Command, _ []string) error { return e.run(cmd, a) },
	}
	e.flags(cmd, a)
	cmd.Flags().StringVarP(&e.output, "output", "o", "", "write to `FILE`; - is standard output, which is the default")
	quietFlag(cmd, &e.quiet, "")
	cmd.Flags().BoolVar(&e.json, "json", false, "write the summary as JSON; on standard error unless there is --output")
	return cmd
}

func (e *export) run(cmd *cobra.Command, a *app) error {
	began := time.Now()
	q, given, err := e.query(cmd, began)
	if err != nil {
		return err
	}
	c, closeStore, err := a.cache(cmd, false)
	if err != nil {
		return err
	}
	defer closeStore()
	e.cache, e.bar = c, newProgress(cmd, e.quiet, "exporting", "responses")
	defer e.bar.done()
	if !given {
		e.bar.totalOf(cmd.Context(), c.Store)
	}
	toFile := e.output != "" && e.output != "-"
	if toFile {
		err = writeFile(cmd.Context(), e.output, func(w io.Writer) error { return e.all(cmd.Context(), q, w) })
	} else {
		err = e.all(cmd.Context(), q, cmd.OutOrStdout())
	}
	e.bar.done()
	e.Seconds = secondsSince(began)
	switch {
	case err != nil:
	case e.json && !toFile: // standard output holds the HAR
		err = writeJSON(cmd.ErrOrStderr(), e.exported)
	case e.json:
		err = writeJSON(cmd.OutOrStdout(), e.exported)
	case toFile:
		err = buffered(cmd, e.exported.write)
	}
	if err == nil && e.Damaged > 0 {
		err = &exitError{code: exitFailed}
	}
	return err
}

// all writes what q means.
func (e *export) all(ctx context.Context, q store.Query, out io.Writer) error {
	w := har.NewWriter(out, "larder", version())
	for r, left := range e.cache.Entries(ctx, q) {
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

// one writes r, or returns in left why it is left out.
func (e *export) one(ctx context.Context, w *har.Writer, r *store.Record) (left, err error) {
	body, left := e.cache.Body(store.Inspect(ctx), r) // else a store may silently remove damaged records beside r
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
		return zstd.NewReader(body, zstd.WithDecoderConcurrency(1)) // it starts no goroutines that would have to be ended
	}
	return view.Unpacker(coding, body)
}

func (e *exported) write(w io.Writer) error {
	detailOf(w, "exported", e.Exported, e.Bytes, e.Seconds)
	if e.Damaged > 0 {
		detail(w, "damaged", "%d", e.Damaged)
	}
	if e.Gone > 0 {
		detail(w, "gone", "%d", e.Gone)
	}
	return nil
}
