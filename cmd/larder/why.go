package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/internal/view"
	"github.com/larder-go/larder/rfc9111"
	"github.com/larder-go/larder/store"
)

type why struct {
	request
	json bool
}

func newWhy(a *app) *cobra.Command {
	w := new(why)
	cmd := &cobra.Command{
		Use:   "why URL",
		Short: "Tell what would happen to a request, and why",
		Long: `Tell what larder get with the same flags would do now, by which rule and which section of the
standard, without sending anything.`,
		Example: `  larder why https://api.example.com/v1/things
  larder why --offline -H 'Authorization: Bearer s3cret' https://api.example.com/v1/things
  larder why --ttl 1h -d q=bees https://search.example.com/`,
		Args:              urlArgs(1),
		ValidArgsFunction: a.completeURL,
		RunE:              func(cmd *cobra.Command, args []string) error { return w.run(cmd, a, args) },
	}
	w.flags(cmd)
	w.modeFlags(cmd)
	jsonFlag(cmd, &w.json)
	return cmd
}

func (w *why) run(cmd *cobra.Command, a *app, args []string) error {
	u, err := parseURL(args[0])
	if err != nil {
		return err
	}
	if err := w.prepare(cmd); err != nil {
		return err
	}
	req, err := w.to(cmd.Context(), u)
	if err != nil {
		return err
	}
	c, closeStore, err := a.cache(cmd, false)
	if err != nil {
		return err
	}
	defer closeStore()
	if err := w.setRules(a, c); err != nil {
		return err
	}
	e, err := c.Explain(cmd.Context(), req)
	if err != nil {
		return err
	}
	others := 0
	err = each(cmd, c, store.Query{URL: withoutUser(u)}, func(r *store.Record) error {
		if r.Key != e.Key {
			others++
		}
		return nil
	})
	if err != nil {
		return err
	}
	x := explained{e, &w.request, req, others, time.Now()}
	return writeResult(cmd, w.json, x.json(), x.write)
}

// explained is an Explanation with the request and what else is stored of its URL.
type explained struct {
	larder.Explanation
	asked  *request
	req    *http.Request
	others int // responses of the same URL under other keys
	now    time.Time
}

func (x *explained) write(w io.Writer) error {
	detail(w, "request", "%s %s", x.req.Method, x.URL)
	detail(w, "rule", "%s", x.rule())
	if x.Key != "" {
		detail(w, "key", "%s", view.Key(x.Key))
	}
	detail(w, "stored", "%s", x.stored())
	fmt.Fprintln(w)
	if len(x.Records) > 0 {
		t := table{w: w, columns: append([]column{{"", -3}}, append(entryColumns[:len(entryColumns)-1:len(entryColumns)-1], column{"VARY", 0})...)}
		for _, r := range x.Records {
			mark := ""
			if r == x.Selected {
				mark = "  >"
			}
			cells := entryCells(r, x.now)
			if err := t.row(append([]string{mark}, append(cells[:len(cells)-1], varyText(r))...)...); err != nil {
				return err
			}
		}
		fmt.Fprintln(w)
	}
	if err := x.writeSteps(w); err != nil {
		return err
	}
	fmt.Fprintln(w)
	detail(w, "verdict", "%s", x.verdict())
	if reason := x.reason(); reason != "" {
		detail(w, "because", "%s", reason)
	}
	for i, advice := range x.advice() {
		name := ""
		if i == 0 {
			name = "or else"
		}
		if err := detail(w, name, "%s", advice); err != nil {
			return err
		}
	}
	return nil
}

// writeSteps writes the steps to the verdict, with a mark at the one that settles it.
func (x *explained) writeSteps(w io.Writer) error {
	steps := x.Steps()
	width := 0
	for _, s := range steps {
		width = max(width, len(s.Question))
	}
	for i, s := range steps {
		name, mark, by := "", " ", s.Section
		if i == 0 {
			name = "path"
		}
		if s.Settles {
			mark = ">"
		}
		if s.Rule != "" {
			by = strings.TrimPrefix(by+"; rule "+s.Rule, "; ")
		}
		if err := detail(w, name, "%s %-*s  %s", mark, width, s.Question, withSection(s.Answer, by)); err != nil {
			return err
		}
	}
	return nil
}

// rule says what applies instead of the standard.
func (x *explained) rule() string {
	var parts []string
	if x.Rule != nil {
		parts = append(parts, x.Steps()[0].Answer)
	}
	if x.asked.ttl != 0 {
		parts = append(parts, "--ttl "+x.asked.ttl.String())
	}
	if len(parts) == 0 {
		return "none, the standard decides"
	}
	return strings.Join(parts, "; ")
}

func (x *explained) stored() string {
	s := countText(len(x.Records), "response") + " for this request"
	if x.others > 0 {
		s += fmt.Sprintf(", %d more of the URL for other credentials, methods, bodies or key-headers", x.others)
	}
	return s
}

// varyText shows the request fields that select r.
func varyText(r *store.Record) string {
	var fields []string
	for _, name := range slices.Sorted(maps.Keys(r.Selecting)) {
		value := "(none)"
		if vv := r.Selecting[name]; len(vv) > 0 {
			value = strings.Join(vv, ", ")
		}
		fields = append(fields, name+": "+value)
	}
	return strings.Join(fields, "; ")
}

func (x *explained) verdict() string {
	if x.Bypass != "" {
		return "the cache takes no part in it"
	}
	switch x.Verdict.Action {
	case rfc9111.Serve:
		return "answered from the store"
	case rfc9111.ServeAndRefresh:
		return "answered from the store, which is refreshed meanwhile"
	case rfc9111.Validate:
		return "the origin is asked whether the stored response still holds"
	case rfc9111.Refuse:
		return "refused with status 504"
	default:
		return "the origin is asked"
	}
}

func (x *explained) reason() string {
	if x.Bypass != "" {
		return x.Bypass
	}
	s := withSection(x.Verdict.Reason.String(), x.Verdict.Reason.Section())
	if x.Selected == nil {
		return s
	}
	if x.Verdict.Lifetime == larder.Forever {
		return fmt.Sprintf("%s; age %s", s, durationText(x.Verdict.Age))
	}
	return fmt.Sprintf("%s; age %s, lifetime %s", s, durationText(x.Verdict.Age), durationText(x.Verdict.Lifetime))
}

// advice says how to make something else happen.
func (x *explained) advice() []string {
	if x.Bypass != "" {
		switch {
		case x.asked.bypass:
			return []string{"without --bypass the cache takes part"}
		case x.asked.ttl == ttlFlag(larder.Never):
			return []string{"without --ttl never the cache takes part"}
		case x.asked.ttl == 0 && x.req.Method != http.MethodGet && x.req.Method != http.MethodHead:
			return []string{"--ttl DURATION stores responses to " + x.req.Method + ", too"}
		}
		return nil
	}
	switch x.Verdict.Action {
	case rfc9111.Serve, rfc9111.ServeAndRefresh:
		return []string{
			"--refresh asks the origin whether it still holds",
			"--force-refresh fetches it anew",
			"larder rm removes it",
		}
	case rfc9111.Validate:
		return []string{
			"--stale takes it as it is",
			"--force-refresh fetches it anew",
			"--ttl DURATION keeps it fresh for longer, from the next answer on",
		}
	case rfc9111.Refuse:
		if x.Selected != nil {
			return []string{"--stale takes the stale one", "without --offline the origin is asked"}
		}
		return []string{"without --offline the origin is asked"}
	}
	switch {
	case x.asked.forceRefresh:
		return []string{"without --force-refresh what is stored is looked at"}
	case x.Selected != nil:
		return []string{"--stale takes the stored one as it is", "--ttl DURATION keeps it fresh for longer, from the next answer on"}
	case x.Verdict.Reason == rfc9111.NoVariant:
		return []string{"send the fields in VARY with the same values as one of those stored"}
	case x.Verdict.Reason == rfc9111.InPart:
		return []string{"larder get fetches what is missing, or the whole if the part has no strong validator", "-H Range:bytes=FIRST-LAST asks for what is there"}
	case x.others > 0:
		return []string{"larder show lists what is stored for others", "send the same credentials, method and body as then",
			"add the rule by whose key-headers it is kept, and send them: X-Forwarded-Host and -Proto for serve --forwarded"}
	case x.asked.ttl == 0 && (x.Rule == nil || x.Rule.TTL == 0 && x.Rule.Expires.IsZero()):
		return []string{"larder get stores the answer if its header allows it", "larder get --ttl DURATION stores it whatever its header says"}
	}
	return []string{"larder get with the same flags stores the answer"}
}

// explanation is the result of why in JSON.
type explanation struct {
	Method   string        `json:"method"`
	URL      string        `json:"url"`
	Key      string        `json:"key,omitempty"`
	Rule     string        `json:"rule"`
	Action   string        `json:"action"`
	Reason   string        `json:"reason"`
	Section  string        `json:"section,omitempty"`
	Age      *float64      `json:"age,omitempty"`
	Lifetime *float64      `json:"lifetime"`
	Selected string        `json:"selected,omitempty"`
	Steps    []larder.Step `json:"steps"`
	Stored   []view.Entry  `json:"stored"`
	Others   int           `json:"others"`
	Advice   []string      `json:"advice"`
}

func (x *explained) json() explanation {
	out := explanation{Method: x.req.Method, URL: x.URL, Rule: x.rule(), Action: x.Verdict.Action.String(),
		Reason: x.Verdict.Reason.String(), Section: x.Verdict.Reason.Section(),
		Steps: x.Steps(), Stored: []view.Entry{}, Others: x.others, Advice: x.advice()}
	if x.Key != "" {
		out.Key = view.Key(x.Key)
	}
	if x.Bypass != "" {
		out.Action, out.Reason = "bypass", x.Bypass
	}
	if x.Selected != nil {
		out.Selected = x.Selected.ID.String()
		out.Age, out.Lifetime = seconds(x.Verdict.Age), seconds(x.Verdict.Lifetime)
	}
	for _, r := range x.Records {
		out.Stored = append(out.Stored, view.NewEntry(r, x.now))
	}
	return out
}
