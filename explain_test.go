package larder_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/rfc9111"
)

// TestStepsAgreeWithVerdict shows that the steps end where the verdict does, and that what they say is what happens
// then.
func TestStepsAgreeWithVerdict(t *testing.T) {
	type field = [2]string
	for _, c := range []struct {
		name   string
		rule   larder.Rule
		shared bool
		stored []field       // of the origin's response, which is stored by a GET; nil: none is
		first  []field       // of that GET
		after  time.Duration // that it is looked at
		method string
		mode   larder.Mode
		ttl    time.Duration
		fields []field // of the request
		broken bool    // the origin gives no answer any more
		status int     // of the origin, if not 200, from then on
		// What is wanted: the questions whose answer has a say, the last one that which settles it; and the outcome.
		settles string
		want    larder.Outcome // None: an error
	}{
		{name: "nothing", settles: "is anything stored under its key?", want: larder.Miss},
		{name: "nothing, offline", mode: larder.Offline, settles: "may the origin be asked?", want: larder.Refused},
		{name: "nothing, only-if-cached", fields: []field{{"Cache-Control", "only-if-cached"}}, settles: "may the origin be asked?", want: larder.Refused},
		{name: "fresh", stored: []field{{"Cache-Control", "max-age=60"}}, settles: "is it fresh?", want: larder.Hit},
		{name: "fresh by Last-Modified", stored: []field{{"Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT"}}, settles: "is it fresh?", want: larder.Hit},
		{name: "fresh by a rule", rule: larder.Rule{Match: "**/a", TTL: time.Hour}, stored: []field{}, settles: "is it fresh?", want: larder.Hit},
		{name: "fresh forever", rule: larder.Rule{TTL: larder.Forever}, stored: []field{}, after: 10000 * time.Hour, settles: "is it fresh?", want: larder.Hit},
		{name: "fresh, HEAD", stored: []field{{"Cache-Control", "max-age=60"}}, method: "HEAD", settles: "is it fresh?", want: larder.Hit},
		{name: "fresh, max-age of the request", stored: []field{{"Cache-Control", "max-age=60"}}, after: 30 * time.Second,
			fields: []field{{"Cache-Control", "max-age=10"}}, settles: "is it fresh enough for the request?", want: larder.Miss},
		{name: "fresh, min-fresh", stored: []field{{"Cache-Control", "max-age=60"}}, after: 30 * time.Second,
			fields: []field{{"Cache-Control", "min-fresh=40"}}, settles: "is it fresh enough for the request?", want: larder.Miss},
		{name: "fresh, no-cache of the request", stored: []field{{"Cache-Control", "max-age=60"}}, fields: []field{{"Pragma", "no-cache"}},
			settles: "may it be used without validation?", want: larder.Miss},
		{name: "fresh, Refresh", stored: []field{{"Cache-Control", "max-age=60"}, {"Etag", `"1"`}}, mode: larder.Refresh,
			settles: "may it be used without validation?", want: larder.Revalidated},
		{name: "fresh, ForceRefresh", stored: []field{{"Cache-Control", "max-age=60"}}, mode: larder.ForceRefresh, settles: "is a new one wanted?", want: larder.Miss},
		{name: "nothing, ForceRefresh", mode: larder.ForceRefresh, settles: "is a new one wanted?", want: larder.Miss},
		{name: "no-cache", stored: []field{{"Cache-Control", "no-cache"}, {"Etag", `"1"`}}, settles: "may it be used without validation?", want: larder.Revalidated},
		{name: "no-cache, taken", stored: []field{{"Cache-Control", "no-cache"}, {"Etag", `"1"`}}, mode: larder.PreferStored,
			settles: "does the caller take what there is?", want: larder.Stale},
		{name: "no-cache, offline", stored: []field{{"Cache-Control", "no-cache"}, {"Etag", `"1"`}}, mode: larder.Offline,
			settles: "may the origin be asked?", want: larder.Refused},
		{name: "stale", stored: []field{{"Cache-Control", "max-age=60"}}, after: time.Hour, settles: "may it be used stale?", want: larder.Miss},
		{name: "stale, with a validator", stored: []field{{"Cache-Control", "max-age=60"}, {"Etag", `"1"`}}, after: time.Hour,
			settles: "may it be used stale?", want: larder.Revalidated},
		{name: "stale, taken", stored: []field{{"Cache-Control", "max-age=60"}}, after: time.Hour, mode: larder.PreferStored,
			settles: "does the caller take what there is?", want: larder.Stale},
		{name: "stale, offline", stored: []field{{"Cache-Control", "max-age=60"}}, after: time.Hour, mode: larder.Offline,
			settles: "may the origin be asked?", want: larder.Refused},
		{name: "stale, taken offline", stored: []field{{"Cache-Control", "max-age=60"}}, after: time.Hour, mode: larder.OfflineStale,
			settles: "does the caller take what there is?", want: larder.Stale},
		{name: "stale, only-if-cached", stored: []field{{"Cache-Control", "max-age=60"}}, after: time.Hour,
			fields: []field{{"Cache-Control", "only-if-cached"}}, settles: "may the origin be asked?", want: larder.Refused},
		{name: "stale, max-stale", stored: []field{{"Cache-Control", "max-age=60"}}, after: time.Hour, fields: []field{{"Cache-Control", "max-stale"}},
			settles: "may it be used stale?", want: larder.Stale},
		{name: "stale, must-revalidate", stored: []field{{"Cache-Control", "max-age=60, must-revalidate"}}, after: time.Hour,
			fields: []field{{"Cache-Control", "max-stale"}}, settles: "may it be used stale?", want: larder.Miss},
		{name: "stale, inside the window", stored: []field{{"Cache-Control", "max-age=60, stale-while-revalidate=60"}}, after: 90 * time.Second,
			settles: "may it be used stale?", want: larder.Stale},
		{name: "stale, inside the window, offline", stored: []field{{"Cache-Control", "max-age=60, stale-while-revalidate=60"}}, after: 90 * time.Second,
			mode: larder.Offline, settles: "may it be used stale?", want: larder.Stale},
		{name: "stale, inside a rule's window", rule: larder.Rule{StaleWhileRevalidate: time.Hour}, stored: []field{{"Cache-Control", "max-age=60"}},
			after: 90 * time.Second, settles: "may it be used stale?", want: larder.Stale},
		{name: "stale, and the origin is gone", stored: []field{{"Cache-Control", "max-age=60"}}, after: time.Hour, broken: true,
			settles: "may it be used stale?", want: larder.Stale},
		{name: "stale, must-revalidate, and the origin is gone", stored: []field{{"Cache-Control", "max-age=60, must-revalidate"}}, after: time.Hour,
			broken: true, settles: "may it be used stale?", want: larder.None},
		{name: "stale, and the origin fails", stored: []field{{"Cache-Control", "max-age=60"}}, after: time.Hour, status: 503,
			settles: "may it be used stale?", want: larder.Miss},
		{name: "stale-if-error, and the origin fails", stored: []field{{"Cache-Control", "max-age=60, stale-if-error=7200"}}, after: time.Hour, status: 503,
			settles: "may it be used stale?", want: larder.Stale},
		{name: "another variant", stored: []field{{"Cache-Control", "max-age=60"}, {"Vary", "Accept-Language"}}, first: []field{{"Accept-Language", "de"}},
			settles: "does one of them match the request?", want: larder.Miss},
		{name: "the same variant", stored: []field{{"Cache-Control", "max-age=60"}, {"Vary", "Accept-Language"}}, first: []field{{"Accept-Language", "de"}},
			fields: []field{{"Accept-Language", "de"}}, settles: "is it fresh?", want: larder.Hit},
		{name: "another variant, offline", stored: []field{{"Cache-Control", "max-age=60"}, {"Vary", "Accept-Language"}}, first: []field{{"Accept-Language", "de"}},
			mode: larder.OfflineStale, settles: "may the origin be asked?", want: larder.Refused},
		{name: "a shared cache, s-maxage", shared: true, stored: []field{{"Cache-Control", "max-age=600, s-maxage=60"}}, after: 2 * time.Minute,
			settles: "may it be used stale?", want: larder.Miss},
		{name: "another method", method: "POST", settles: "does the cache take part?", want: larder.Bypassed},
		{name: "another method, offline", method: "POST", mode: larder.Offline, settles: "may the origin be asked?", want: larder.Refused},
		{name: "a precondition, only-if-cached", fields: []field{{"If-Match", `"1"`}, {"Cache-Control", "only-if-cached"}},
			settles: "may the origin be asked?", want: larder.Refused},
		{name: "another method, by a rule", rule: larder.Rule{Methods: []string{"GET", "POST"}, TTL: time.Hour}, method: "POST",
			settles: "is anything stored under its key?", want: larder.Miss},
		{name: "never, by a rule", rule: larder.Rule{Match: "**/a", TTL: larder.Never}, settles: "does the cache take part?", want: larder.Bypassed},
		{name: "never, by the caller", ttl: larder.Never, settles: "does the cache take part?", want: larder.Bypassed},
		{name: "bypass", mode: larder.Bypass, stored: []field{{"Cache-Control", "max-age=60"}}, settles: "does the cache take part?", want: larder.Bypassed},
		{name: "a precondition", fields: []field{{"If-Match", `"1"`}}, settles: "does the cache take part?", want: larder.Bypassed},
		{name: "another protocol", fields: []field{{"Upgrade", "websocket"}}, settles: "does the cache take part?", want: larder.Bypassed},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
			answers := true
			status := 200
			base := roundTripper(func(req *http.Request) (*http.Response, error) {
				if !answers {
					return nil, errors.New("no route to host")
				}
				h := http.Header{"Date": {now.Format(http.TimeFormat)}}
				for _, f := range c.stored {
					h.Set(f[0], f[1])
				}
				if req.Header.Get("If-None-Match") != "" && status == 200 {
					return &http.Response{StatusCode: 304, Header: h, Body: http.NoBody}, nil
				}
				return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader("hi"))}, nil
			})
			cache := &larder.Cache{Base: base, Shared: c.shared, Rules: []larder.Rule{c.rule}, Now: func() time.Time { return now }}
			request := func(method string, fields []field, ctx context.Context) *http.Request {
				req, err := http.NewRequestWithContext(ctx, method, "https://example.com/a", nil)
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range fields {
					req.Header.Set(f[0], f[1])
				}
				return req
			}
			send := func(req *http.Request) larder.Outcome {
				resp, err := cache.RoundTrip(req)
				if err != nil {
					return larder.None
				}
				defer resp.Body.Close()
				if _, err := io.Copy(io.Discard, resp.Body); err != nil {
					t.Fatal(err)
				}
				return larder.Info(resp).Outcome
			}
			if c.stored != nil {
				if got := send(request("GET", c.first, t.Context())); got != larder.Miss {
					t.Fatalf("the first request: %v", got)
				}
			}
			now = now.Add(c.after)
			if answers = !c.broken; c.status != 0 {
				status = c.status
			}
			method := c.method
			if method == "" {
				method = "GET"
			}
			req := request(method, c.fields, larder.WithTTL(larder.WithMode(t.Context(), c.mode), c.ttl))
			e, err := cache.Explain(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			steps := e.Steps()
			settled := slices.IndexFunc(steps, func(s larder.Step) bool { return s.Settles })
			if settled < 0 || slices.ContainsFunc(steps[settled+1:], func(s larder.Step) bool { return s.Settles }) {
				t.Fatalf("not one step settles it: %+v", steps)
			}
			reason, section := e.Verdict.Reason.String(), e.Verdict.Reason.Section()
			if e.Bypass != "" && e.Verdict.Action != rfc9111.Refuse {
				reason, section = e.Bypass, steps[settled].Section
			}
			if s := steps[settled]; s.Question != c.settles || !strings.Contains(s.Answer, reason) || s.Section != section {
				t.Errorf("got %+v, want %q, settled since %s (%s)", s, c.settles, reason, section)
			}
			got := send(req)
			if err := cache.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if got != c.want {
				t.Errorf("what happens: got %v, want %v", got, c.want)
			}
			if says := foretold(t, steps[settled+1:], c.broken || c.status != 0); !slices.Contains(says, got) {
				t.Errorf("what happens: got %v, foretold were %v by %+v", got, says, steps[settled+1:])
			}
		})
	}
}

// foretold returns the outcomes that the last steps leave open.
func foretold(t *testing.T, last []larder.Step, fails bool) []larder.Outcome {
	t.Helper()
	if fails && len(last) == 2 && strings.HasPrefix(last[1].Answer, "the stored response is the answer") {
		if strings.Contains(last[1].Answer, "not if") {
			return []larder.Outcome{larder.Stale, larder.Miss}
		}
		return []larder.Outcome{larder.Stale}
	}
	switch answer := last[0].Answer; {
	case strings.HasPrefix(answer, "it is the answer"):
		return []larder.Outcome{larder.Hit, larder.Stale}
	case answer == "the answer is 504":
		return []larder.Outcome{larder.Refused}
	case fails:
		return []larder.Outcome{larder.None, larder.Miss}
	case strings.HasPrefix(answer, "the origin is asked whether it still holds"):
		return []larder.Outcome{larder.Revalidated}
	case strings.HasPrefix(answer, "the origin is asked"):
		return []larder.Outcome{larder.Miss, larder.Bypassed}
	default:
		t.Fatalf("unknown end %q", answer)
		return nil
	}
}
