package page

import (
	"net/http"
	"time"

	"github.com/larder-go/larder/store"
)

// purge removes what entries lists for the same filter and as_of: what came after the list was made, unseen, stays.
// Without a filter, all=1 empties the cache.
func (p *Page) purge(w http.ResponseWriter, r *http.Request) error {
	v := r.URL.Query()
	f, err := readFilter(v)
	if err != nil {
		return err
	}
	asOf, err := readTime(v.Get("as_of"), time.Now())
	if err != nil {
		return err
	}
	q := f.query(asOf)
	if f.isZero() {
		if v.Get("all") != "1" {
			return faultf(http.StatusBadRequest, "nothing says what to remove; all=1 is everything")
		}
		q = store.Query{}
	}
	removed, err := p.Cache.Purge(r.Context(), q)
	if err != nil {
		return err
	}
	return writeJSON(w, map[string]int{"removed": removed})
}
