package model

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/larder-go/larder/store"
)

// judge compares what a request brought with what m wants.
func (m *ideal) judge(q *request, came time.Time, log []exchange, g got, records []*store.Record) error {
	w, err := m.handle(q, came, log)
	if err != nil {
		return fmt.Errorf("%w; the caller got a %v, %d", err, g.outcome, g.status)
	}
	return cmp.Or(w.check(q, g), m.checkStored(records))
}

func (w *want) check(q *request, g got) error {
	because := ""
	if w.why != "" {
		because = "\n    by " + w.why
	}
	switch says, _, _ := strings.Cut(strings.TrimPrefix(g.says, "model; "), "; detail="); {
	case w.fails && g.err == nil:
		return fmt.Errorf("got a %v, %d %s, want the origin's fault", g.outcome, g.status, show(g.header))
	case w.fails:
		return nil
	case g.err != nil:
		return fmt.Errorf("got error %w, want a %v, %d%s", g.err, w.outcome, w.status, because)
	case g.outcome != w.outcome || g.status != w.status:
		return fmt.Errorf("got a %v, %d %s, want a %v, %d%s", g.outcome, g.status, show(g.header), w.outcome, w.status, because)
	case !sameHeader(g.header, w.header):
		return fmt.Errorf("got a %v with header\n    %s, want\n    %s%s", g.outcome, show(g.header), show(w.header), because)
	case w.says != nil && !slices.Contains(w.says, says):
		return fmt.Errorf("Cache-Status says %q, want %q%s", says, w.says, because)
	case q.early:
		return nil
	case w.breaks != (g.broken != nil):
		return fmt.Errorf("the body ended with error %v, want one: %v", g.broken, w.breaks)
	case w.breaks && !strings.HasPrefix(string(w.body), string(g.body)), !w.breaks && string(g.body) != string(w.body):
		return fmt.Errorf("got a %v with body %.200q (%d bytes), want %.200q (%d)%s",
			g.outcome, g.body, len(g.body), w.body, len(w.body), because)
	case w.why != "" && q.method == http.MethodGet && g.length != int64(len(g.body)): // from the store
		return fmt.Errorf("got ContentLength %d, want %d%s", g.length, len(g.body), because)
	}
	return nil
}

// checkStored compares what is listed with what is to be kept.
func (m *ideal) checkStored(records []*store.Record) error {
	const format = "%s %s %d, %d bytes, received %v, fresh until %v, for %v, %s"
	var list, wanted []string
	for _, r := range records {
		list = append(list, fmt.Sprintf(format, r.Method, strings.TrimPrefix(r.URL, host), r.Status, r.Size,
			r.Received.Sub(epoch), r.FreshUntil.Sub(epoch), showSelecting(r.Selecting), show(r.Header)))
	}
	for _, k := range m.live() {
		selecting := http.Header{}
		for name, v := range k.selecting {
			selecting[name] = nil
			set(selecting, name, v)
		}
		freshUntil := k.gotAt.Add(k.lifetime() - k.age(k.gotAt))
		wanted = append(wanted, fmt.Sprintf(format, k.method, k.path, k.status, len(k.body),
			k.gotAt.Sub(epoch), freshUntil.Sub(epoch), showSelecting(selecting), show(k.header)))
	}
	slices.Sort(list)
	slices.Sort(wanted)
	if slices.Equal(list, wanted) {
		return nil
	}
	var b strings.Builder
	for _, s := range list {
		if !slices.Contains(wanted, s) {
			fmt.Fprintf(&b, "\n    is stored, and should not be: %s", s)
		}
	}
	for _, s := range wanted {
		if !slices.Contains(list, s) {
			fmt.Fprintf(&b, "\n    should be stored, and is not: %s", s)
		}
	}
	for _, k := range m.all {
		if why := m.gone[k]; why != "" && b.Len() > 0 {
			fmt.Fprintf(&b, "\n    answer %d to %s %s was %s", k.number, k.method, k.path, why)
		}
	}
	return fmt.Errorf("the store has %d responses, want %d:%s", len(list), len(wanted), b.String())
}

// showSelecting hides the values of Authorization, which are stored as digests.
func showSelecting(h http.Header) string {
	h = h.Clone()
	if h["Authorization"] != nil {
		h["Authorization"] = []string{"…"}
	}
	return fmt.Sprint(h)
}
