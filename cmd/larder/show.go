package main

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/internal/view"
	"github.com/larder-go/larder/store"
)

type show struct {
	request
	id             string
	bodyOnly, json bool
}

func newShow(a *app) *cobra.Command {
	s := new(show)
	cmd := &cobra.Command{
		Use:   "show URL",
		Short: "Show what is stored of a URL",
		Long: `Show the stored responses of a URL: their heads, the request fields that select one (Vary), sizes
and times.

Without -X, -H, -d or -I all responses of the URL are shown, whoever they are for; with them those
to exactly that request.`,
		Example: `  larder show https://api.example.com/v1/things
  larder show -H 'Authorization: Bearer s3cret' https://api.example.com/v1/things
  larder show --body https://example.com/logo.png > logo.png`,
		Args:              urlArgs(1),
		ValidArgsFunction: a.completeURL,
		RunE:              func(cmd *cobra.Command, args []string) error { return s.run(cmd, a, args) },
	}
	s.flags(cmd)
	cmd.Flags().StringVar(&s.id, "id", "", "show only the response with this `ID`")
	cmd.Flags().BoolVar(&s.bodyOnly, "body", false, "write the stored body and nothing else")
	jsonFlag(cmd, &s.json)
	exclusive(cmd, "body", "json")
	return cmd
}

func (s *show) run(cmd *cobra.Command, a *app, args []string) error {
	u, err := parseURL(args[0])
	if err != nil {
		return err
	}
	if err := s.prepare(cmd); err != nil {
		return err
	}
	var only store.ID
	if s.id != "" {
		if only, err = store.ParseID(s.id); err != nil {
			return usagef("--id: %w", err)
		}
	}
	c, closeStore, err := a.cache(cmd, false)
	if err != nil {
		return err
	}
	defer closeStore()
	records, err := s.find(cmd, a, c, u, only)
	if err != nil {
		return err
	}
	if len(records) == 0 {
		return fmt.Errorf("nothing is stored of %s%s", u.Redacted(), s.orElse())
	}
	if s.bodyOnly {
		return writeBody(cmd, c, records)
	}
	now := time.Now()
	return buffered(cmd, func(w io.Writer) error {
		for i, r := range records {
			if s.json {
				if err := writeJSON(w, view.NewEntry(r, now)); err != nil {
					return err
				}
				continue
			}
			if i > 0 {
				fmt.Fprintln(w)
			}
			if err := showRecord(w, r, now); err != nil {
				return err
			}
			if err := showLife(w, c.Policy(), r, now, utf8Locale()); err != nil {
				return err
			}
			if err := showPreview(cmd.Context(), w, c, r); err != nil {
				return err
			}
		}
		return nil
	})
}

// find returns the stored responses of u: those to exactly this request, if the command line describes one, or all.
func (r *request) find(cmd *cobra.Command, a *app, c *larder.Cache, u *url.URL, only store.ID) ([]*store.Record, error) {
	var records []*store.Record
	if r.exact() {
		if err := r.keyRules(a, c); err != nil {
			return nil, err
		}
		req, err := r.to(cmd.Context(), u)
		if err != nil {
			return nil, err
		}
		found, err := c.Lookup(cmd.Context(), req)
		if err != nil && !errors.Is(err, store.ErrCorrupt) {
			return nil, err
		}
		for _, f := range found {
			if (only == store.ID{}) || f.ID == only {
				records = append(records, f)
			}
		}
		return records, nil
	}
	err := each(cmd, c, store.Query{URL: withoutUser(u), ID: only}, func(f *store.Record) error {
		records = append(records, f)
		return nil
	})
	return records, err
}

// orElse returns advice for when nothing was found.
func (r *request) orElse() string {
	if r.exact() {
		return " for exactly this request; without -X, -H, -d and -I all requests are meant"
	}
	return ""
}

func withoutUser(u *url.URL) string {
	v := *u
	v.User = nil
	return v.String()
}

func writeBody(cmd *cobra.Command, c *larder.Cache, records []*store.Record) error {
	if len(records) > 1 {
		ids := make([]string, len(records))
		for i, r := range records {
			ids[i] = r.ID.String()
		}
		return usagef("%d responses are stored; choose one by --id: %s", len(records), strings.Join(ids, ", "))
	}
	body, err := c.Body(cmd.Context(), records[0])
	if err != nil {
		return err
	}
	defer body.Close()
	return copyBody(cmd.Context(), cmd.OutOrStdout(), body)
}

func showRecord(w io.Writer, r *store.Record, now time.Time) error {
	detail(w, "request", "%s %s", r.Method, r.URL)
	writeHeader(w, "           ", r.Selecting)
	detail(w, "response", "%s %d, %s", r.Proto, r.Status, bytesText(r.Size))
	detail(w, "received", "%s, %s ago", timeText(r.Received), durationText(now.Sub(r.Received)))
	detail(w, "fresh", "%s", untilText(r.FreshUntil, now))
	if ttl := view.TTL(r.TTL); ttl != "" {
		detail(w, "", "as --ttl %s or a rule said", ttl)
	}
	detail(w, "kept", "%s", untilText(r.KeepUntil, now))
	if len(r.Tags) > 0 {
		detail(w, "tags", "%s", strings.Join(r.Tags, ", "))
	}
	detail(w, "id", "%s", r.ID)
	detail(w, "key", "%s", view.Key(r.Key))
	fmt.Fprintln(w)
	if err := writeHeader(w, "  ", r.Header); err != nil {
		return err
	}
	return writeHeader(w, "  (trailer) ", r.Trailer)
}
