package storetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/larder-go/larder/store"
)

// The calls begin in the order of the list, and each ends before the next begins, but for one after "meanwhile", which
// lasts to the end.
func TestHistoryTellsWhatCannotBe(t *testing.T) {
	a, b := store.ID{6: 1}, store.ID{6: 2}
	stored := func(id store.ID, head int, not ...store.ID) call {
		return call{what: commits, key: "key", id: id, head: head, ids: not}
	}
	updated := func(id store.ID, head int) call { return call{what: updates, key: "key", id: id, head: head} }
	removed := func(ids ...store.ID) call { return call{what: deletes, key: "key", ids: ids} }
	looked := func(seen ...sight) call { return call{what: looks, key: "key", seen: seen} }
	found := func(tag string, seen ...sight) call { return call{what: finds, tag: tag, seen: seen} }
	gone := func(c call) call { c.gone = true; return c }
	read := call{what: reads, key: "key", id: a}
	swept := call{what: sweeps}
	meanwhile := call{}
	a1, a2, a3, a8, b1 := sight{a, 1, 0}, sight{a, 2, 0}, sight{a, 3, 0}, sight{a, 8, 0}, sight{b, 4, 0}
	for name, c := range map[string]struct {
		calls []call
		want  string // "": all is well
	}{
		"what is stored is shown":                {[]call{stored(a, 1), looked(a1), read}, ""},
		"what is stored is missed":               {[]call{stored(a, 1), looked()}, "nobody has removed"},
		"what is being stored is missed":         {[]call{meanwhile, stored(a, 1), looked()}, ""},
		"what is stored is not found":            {[]call{stored(a, 1), found("")}, "nobody has removed"},
		"what is stored cannot be read":          {[]call{stored(a, 1), gone(read)}, "nobody has removed"},
		"what nobody stored is shown":            {[]call{stored(a, 1), looked(b1, a1)}, "nobody has stored"},
		"a record is shown twice":                {[]call{stored(a, 1), looked(a1, a1)}, "twice"},
		"the body is cut":                        {[]call{{what: commits, key: "key", id: a, head: 1, size: 7}, looked(a1)}, "0 bytes, not 7"},
		"what is removed is missed":              {[]call{stored(a, 1), removed(a), looked(), gone(read)}, ""},
		"what is removed is shown":               {[]call{stored(a, 1), removed(), looked(a1)}, "was gone"},
		"what is removed is found":               {[]call{stored(a, 1), removed(a), found("", a1)}, "was gone"},
		"what is being removed is shown":         {[]call{stored(a, 1), meanwhile, removed(), looked(a1), looked(), gone(read)}, ""},
		"what is stored while it is removed":     {[]call{meanwhile, removed(), stored(a, 1), looked(a1)}, ""},
		"another record is removed":              {[]call{stored(a, 1), removed(b), looked()}, "nobody has removed"},
		"what is shown before Commit returns":    {[]call{meanwhile, stored(a, 1), looked(a1), removed(), looked(a1)}, "was gone"},
		"what is removed is changed":             {[]call{stored(a, 1), removed(a), updated(a, 2)}, "changes what was gone"},
		"what is there cannot be changed":        {[]call{stored(a, 1), gone(updated(a, 2))}, "nobody has removed"},
		"the new head is shown":                  {[]call{stored(a, 1), updated(a, 2), looked(a2)}, ""},
		"the old head is shown":                  {[]call{stored(a, 1), updated(a, 2), looked(a1)}, "another head"},
		"the old head is shown beside Update":    {[]call{stored(a, 1), meanwhile, updated(a, 2), looked(a1)}, ""},
		"the head of one of two Updates at once": {[]call{stored(a, 1), meanwhile, updated(a, 2), meanwhile, updated(a, 3), looked(a2), looked(a3)}, ""},
		"one takes the other's place":            {[]call{stored(a, 1), stored(b, 4, a), looked(b1)}, ""},
		"both are there":                         {[]call{stored(a, 1), stored(b, 4, a), looked(b1, a1)}, "was gone"},
		"both are there during Commit":           {[]call{stored(a, 1), meanwhile, stored(b, 4, a), looked(b1, a1)}, ""},
		"neither is there during Commit":         {[]call{stored(a, 1), meanwhile, stored(b, 4, a), looked()}, "nobody has removed"},
		"neither is there, since both went":      {[]call{stored(a, 1), meanwhile, stored(b, 4, a), meanwhile, removed(b), looked()}, ""},
		"neither is found during Commit":         {[]call{stored(a, 1), meanwhile, stored(b, 4, a), found("")}, ""},
		"what has ended is missed":               {[]call{stored(a, 8), looked()}, ""},
		"what has ended is shown":                {[]call{stored(a, 8), looked(a8)}, ""},
		"what has ended is shown after Sweep":    {[]call{stored(a, 8), swept, looked(a8)}, "was gone"},
		"what lasts longer now is missed":        {[]call{stored(a, 8), updated(a, 1), looked(a1), looked()}, "nobody has removed"},
		"what has ended is not found":            {[]call{stored(a, 8), found(""), updated(a, 1), looked(a1)}, ""},
		"what lasts longer now is not found":     {[]call{stored(a, 8), updated(a, 1), found(""), looked(a1)}, "nobody has removed"},
		"what ends during Find is not found":     {[]call{stored(a, 8), meanwhile, updated(a, 1), found(""), looked(a1)}, ""},
		"what lasts longer now is swept":         {[]call{stored(a, 8), meanwhile, swept, updated(a, 1), looked(a1), looked()}, ""},
		"a tag that it has is not found":         {[]call{stored(a, 2), updated(a, 3), found("odd")}, "nobody has removed"},
		"a tag that it had is not found":         {[]call{stored(a, 3), updated(a, 2), found("odd")}, ""},
		"a tag that it is given is not found":    {[]call{stored(a, 2), meanwhile, updated(a, 3), found("odd")}, ""},
		"an earlier Delete is no matter":         {[]call{removed(), stored(a, 1), looked(a1)}, ""},
		"what is under another key is removed":   {[]call{stored(a, 1), {what: deletes, key: "other"}, looked()}, "nobody has removed"},
		"what is under another key is shown":     {[]call{stored(a, 1), {what: looks, key: "other", seen: []sight{a1}}}, "nobody has stored"},
		"what is under another key is not found": {[]call{stored(a, 1), {what: finds, key: "other"}}, ""},
		"what was removed cannot be changed":     {[]call{stored(a, 1), removed(a), gone(updated(a, 2)), looked()}, ""},
		"what cannot be changed is shown":        {[]call{stored(a, 1), meanwhile, removed(a), gone(updated(a, 2)), looked(a1)}, "was gone"},
		"the head of a failed Update is shown":   {[]call{meanwhile, removed(a), meanwhile, stored(a, 1), gone(updated(a, 2)), looked(a2)}, "another head"},
		"what is changed before Commit returns":  {[]call{meanwhile, stored(a, 1), updated(a, 2), removed(a), looked(a2)}, "was gone"},
		"a head shown before Update returns":     {[]call{stored(a, 1), meanwhile, updated(a, 2), looked(a2), updated(a, 3), looked(a2)}, "another head"},
		"what is removed later is missed":        {[]call{stored(a, 1), looked(), removed(a)}, "nobody has removed"},
		"a tag that it will lose is not found":   {[]call{stored(a, 3), found("odd"), updated(a, 2)}, "nobody has removed"},
		"what has not ended is swept":            {[]call{stored(a, 1), swept, looked()}, "nobody has removed"},
	} {
		var h history
		for i, call := range c.calls {
			call.span = span{int64(10 * i), int64(10*i + 1)}
			if i > 0 && c.calls[i-1].what == "" {
				call.ended = 1000
			}
			if call.what != "" {
				h.calls = append(h.calls, &call)
			}
		}
		var got string
		h.check(false, func(format string, args ...any) { got += fmt.Sprintf(format, args...) })
		if !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
