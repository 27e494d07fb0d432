package recipes

import (
	"net/http"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

// scraper returns a client that asks for each page once a day, whatever the server says of it, and keeps pages that are
// gone as well, so that they are not asked for again at once. While a server is down it takes what is stored, and asks
// again each time. A session's cookies are not stored.
func scraper(s store.Store) *http.Client {
	cache := &larder.Cache{
		Store:   s,
		MaxBody: 16 << 20,
		Rules: []larder.Rule{{
			TTL:          24 * time.Hour,
			Statuses:     []int{200, 203, 301, 308, 404, 410},
			SortQuery:    true,
			Ignore:       larder.Ignore{Query: []string{"utm_*", "fbclid"}},
			Strip:        []string{"Set-Cookie"},
			StaleIfError: 7 * 24 * time.Hour, // while a server is down, its old pages are taken
		}},
	}
	return &http.Client{Transport: cache, Timeout: time.Minute}
}
