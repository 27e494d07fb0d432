package recipes

import (
	"time"

	"github.com/larder-go/larder"
)

// searches keeps the answers to POST requests of a search API for five minutes, by what their bodies say: the order of
// a JSON object's members makes no difference, and neither does the request's number.
var searches = larder.Rule{
	Match:    "search.example.com/**",
	Methods:  []string{"POST"},
	TTL:      5 * time.Minute,
	Statuses: []int{200},
	Ignore:   larder.Ignore{JSON: []string{"request_id"}},
}
