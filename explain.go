package larder

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/larder-go/larder/rfc9111"
	"github.com/larder-go/larder/store"
)

// Explanation is what would happen to a request at the time of Cache.Explain.
type Explanation struct {
	Key  store.Key
	URL  string // normalised and redacted
	Rule *Rule  // the one that applies; nil: none
	// Bypass says why the cache takes no part in the request; "": it does take part. If it is set, the Verdict is to
	// forward the request, or to refuse it if the caller wants only what is stored.
	Bypass string
	// Records are the stored responses for the request, newest first.
	Records []*store.Record
	// Selected is the record that the Verdict is about; nil: none.
	Selected *store.Record
	Verdict  rfc9111.Verdict
	// FreshUntil and KeepUntil are those of Selected; zero: forever.
	FreshUntil, KeepUntil time.Time

	x      *exchange // what Steps tells of; nil: Explain has not made it
	policy rfc9111.Policy
}

// Explain returns what would happen to req now, without sending it. The request can still be sent, with its body.
func (c *Cache) Explain(ctx context.Context, req *http.Request) (Explanation, error) {
	x, why, err := c.prepared(req)
	if err != nil {
		return Explanation{}, err
	}
	e := Explanation{Key: x.key, URL: x.target.url, Bypass: why, Verdict: rfc9111.Verdict{Index: -1}, x: x, policy: c.policy()}
	if x.rule != standard {
		e.Rule = &x.rule.Rule
	}
	if e.Bypass != "" {
		if c.onlyStored(x) {
			e.Verdict.Action, e.Verdict.Reason = rfc9111.Refuse, rfc9111.OnlyIfCached
		}
		return e, nil
	}
	records, err := c.storedFor(ctx, x)
	if err != nil {
		return e, err
	}
	records = slices.DeleteFunc(slices.Clone(records), func(r *store.Record) bool { return !c.counts(r) })
	c.weigh(x, records)
	e.Records, e.Verdict = records, x.verdict
	if i := x.verdict.Index; i >= 0 {
		e.Selected = x.records[i]
		e.FreshUntil, e.KeepUntil = e.Selected.FreshUntil, e.Selected.KeepUntil
	}
	return e, nil
}

// Why the cache takes no part in a request.
const (
	bypassOpaque       = "its URL is opaque"
	bypassAsked        = "the caller bypasses the cache"
	bypassMethod       = "the method is not cached"
	bypassNever        = "a rule or the caller says never to store it"
	bypassUpgrade      = "the request asks for another protocol"
	bypassPrecondition = "its precondition is the origin's to check"
	bypassBody         = "its body is too long for a key, or can't be read"
)

// bypassSections are the sections of the standard that say so.
var bypassSections = map[string]string{
	bypassMethod:       "RFC 9111 §3",
	bypassUpgrade:      "RFC 9110 §7.8",
	bypassPrecondition: "RFC 9110 §13.1",
}

// Step is one question on the way to a Verdict, and its answer.
type Step struct {
	Question string `json:"question"`          // "is it fresh?"
	Answer   string `json:"answer"`            // "yes: its age is 12s and its lifetime 1m0s"
	Section  string `json:"section,omitempty"` // where the standard says so, as "RFC 9111 §4.2"; "": nowhere
	Rule     string `json:"rule,omitempty"`    // the Match of the rule that decides; "": none, or one for every URL
	// Settles is true of the one step whose Answer gave the Verdict's Reason, or Bypass. Later steps follow from it.
	Settles bool `json:"settles,omitempty"`
}

// Steps returns how the cache comes to the Verdict: each question that it asks, in order, up to the one that settles
// it, and what happens then. It returns nil for an Explanation that does not come from Explain. No answer quotes the
// values of header fields other than Cache-Control, Pragma and Range.
func (e Explanation) Steps() []Step {
	if e.x == nil {
		return nil
	}
	p := path{Explanation: e}
	p.walk()
	return p.steps
}

// path is what Steps has gathered so far.
type path struct {
	Explanation
	steps []Step
}

func (p *path) add(question, answer, section string) {
	p.steps = append(p.steps, Step{Question: question, Answer: answer, Section: section})
}

// settle adds the step that the Verdict's reason is about, if that is not what was found.
func (p *path) settle(question, answer string) {
	r := p.Verdict.Reason
	p.steps = append(p.steps, Step{Question: question, Answer: answer + r.String(), Section: r.Section(), Settles: true})
}

// byRule names the rule as what decides the last question.
func (p *path) byRule() { p.steps[len(p.steps)-1].Rule = p.x.rule.Match }

func (p *path) walk() {
	p.rule()
	if !p.takesPart() {
		return
	}
	if p.selects() {
		p.reuses()
	}
}

func (p *path) rule() {
	if p.Rule == nil {
		p.add("which rule applies?", "none: the standard decides", "")
		return
	}
	answer := "the one for every URL"
	if p.Rule.Match != "" {
		answer = "the one for " + p.Rule.Match
	}
	if len(p.Rule.Methods) > 0 {
		answer += ", for " + strings.Join(p.Rule.Methods, ", ")
	}
	switch {
	case p.Rule.TTL == Never:
		answer += ", never to be stored"
	case p.Rule.TTL != 0:
		answer += ", TTL " + figure(p.Rule.TTL)
	case !p.Rule.Expires.IsZero():
		answer += ", until " + p.Rule.Expires.UTC().Format(time.RFC3339)
	}
	p.add("which rule applies?", answer, "")
	p.byRule()
}

// takesPart reports whether the cache takes part in the request.
func (p *path) takesPart() bool {
	const question = "does the cache take part?"
	x := p.x
	if p.Bypass == "" {
		p.add(question, "yes: responses to "+x.rr.Method+" may be stored", "RFC 9111 §3")
		if x.rule.Methods != nil {
			p.byRule()
		}
		return true
	}
	p.add(question, "no: "+p.Bypass, bypassSections[p.Bypass])
	if p.Bypass == bypassMethod && x.rule.Methods != nil || p.Bypass == bypassNever && x.rule.ttl(ask{}, http.StatusOK, x.now) == Never {
		p.byRule()
	}
	if p.Verdict.Action == rfc9111.Refuse {
		p.settle("may the origin be asked?", "no: ")
	} else {
		p.steps[len(p.steps)-1].Settles = true
	}
	p.ends()
	return false
}

// selects finds the response that the verdict is about, and reports whether there is one.
func (p *path) selects() bool {
	const stored, status = "is anything stored under its key?", "does the rule allow its status?"
	x, n := p.x, len(p.Records)
	allowed := 0
	for _, r := range p.Records {
		if x.rule.statusAllowed(r.Status) {
			allowed++
		}
	}
	if n == 0 && x.ask.mode != ForceRefresh {
		p.found(stored, "no: ")
		return false
	}
	p.add(stored, fmt.Sprintf("yes: %d", n), "RFC 9111 §4")
	if n == 0 {
		p.steps[len(p.steps)-1].Answer = "no"
	}
	switch {
	case x.ask.mode == ForceRefresh:
		p.found("is a new one wanted?", "yes: ")
		return false
	case allowed == 0:
		p.found(status, "no, as if ")
		p.byRule()
		return false
	case allowed < n:
		p.add(status, fmt.Sprintf("of %d", allowed), "")
		p.byRule()
	}
	const matches = "does one of them match the request?"
	if p.Selected == nil {
		p.found(matches, "no: ")
		return false
	}
	answer := "yes"
	if len(x.stored) > 1 {
		answer += ", the newest that does"
	}
	if names := slices.Sorted(maps.Keys(p.Selected.Selecting)); len(names) > 0 {
		answer += ": it has the same " + strings.Join(names, ", ")
	}
	p.add(matches, answer, "RFC 9111 §4.1")
	return true
}

// reuses adds the steps about the selected response.
func (p *path) reuses() {
	const unvalidated, fresh, stale = "may it be used without validation?", "is it fresh?", "may it be used stale?"
	v := p.Verdict
	isStale := v.Age >= v.Lifetime
	figures := "its age is " + figure(v.Age) + ", its lifetime " + figure(v.Lifetime)
	if v.Found == rfc9111.ResponseNoCache || v.Found == rfc9111.RequestNoCache {
		p.found(unvalidated, "no: ")
		return
	}
	p.add(unvalidated, "yes: neither the response nor the request says no-cache", "RFC 9111 §5.2")
	if v.Found == rfc9111.RequestMaxAge || v.Found == rfc9111.RequestMinFresh {
		p.found("is it fresh enough for the request?", "no, "+figures+": ")
		return
	}
	if !isStale {
		p.found(fresh, "yes, "+figures+": ")
		return
	}
	p.add(fresh, "no: "+figures, "RFC 9111 §4.2")
	switch v.Found {
	case rfc9111.MaxStale, rfc9111.StaleWhileRevalidate:
		p.found(stale, "yes: ")
	case rfc9111.MustRevalidate:
		p.found(stale, "no: ")
	default:
		p.found(stale, "no, neither the response nor the request allows it: ")
	}
}

// found adds the step whose answer the standard or the rule gave, and what follows from it.
func (p *path) found(question, answer string) {
	v := p.Verdict
	p.steps = append(p.steps, Step{Question: question, Answer: answer + v.Found.String(), Section: v.Found.Section(), Settles: v.Found == v.Reason})
	switch v.Reason {
	case v.Found:
	case rfc9111.TakenStale:
		p.settle("does the caller take what there is?", "yes: ")
	default:
		p.settle("may the origin be asked?", "no: ")
	}
	p.ends()
}

// ends adds what the cache does in the end.
func (p *path) ends() {
	const then, fails = "what then?", "and if the origin fails?"
	x, v := p.x, p.Verdict
	switch v.Action {
	case rfc9111.Serve:
		p.add(then, "it is the answer", "")
		return
	case rfc9111.ServeAndRefresh:
		p.add(then, "it is the answer, and the origin is asked meanwhile", "RFC 5861 §3")
		return
	case rfc9111.Refuse:
		p.add(then, "the answer is 504", "RFC 9111 §5.2.1.7")
		return
	}
	var conditions []string
	if p.Selected != nil && x.reads() {
		conditions = slices.Sorted(maps.Keys(rfc9111.Conditions(x.stored, v.Index)))
	}
	switch {
	case len(conditions) > 0:
		p.add(then, "the origin is asked whether it still holds, by "+strings.Join(conditions, " and "), "RFC 9111 §4.3.1")
	case v.Reason == rfc9111.InPart:
		p.add(then, "the origin is asked for what is missing, or for all", "RFC 9111 §3.4")
	default:
		p.add(then, "the origin is asked", "RFC 9111 §4")
	}
	switch {
	case p.Selected == nil:
	case p.policy.StaleIfError(&x.rr, x.stored[v.Index], x.now):
		p.add(fails, "the stored response is the answer", "RFC 5861 §4")
	case p.policy.StaleIfDisconnected(&x.rr, x.stored[v.Index], x.now):
		p.add(fails, "the stored response is the answer if the origin gives none at all, not if it is 500, 502, 503 or 504", "RFC 9111 §4.2.4")
	default:
		p.add(fails, "that is the answer", "RFC 9111 §4.2.4")
	}
}

// figure returns a duration in whole seconds, for people.
func figure(d time.Duration) string {
	if d == Forever {
		return "without end"
	}
	return d.Truncate(time.Second).String()
}
