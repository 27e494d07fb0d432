package recipes

import (
	"net/http"

	"github.com/larder-go/larder"
)

// mode asks m of the cache for every request that passes.
type mode struct {
	m    larder.Mode
	next http.RoundTripper
}

func (t mode) RoundTrip(req *http.Request) (*http.Response, error) {
	return t.next.RoundTrip(req.WithContext(larder.WithMode(req.Context(), t.m)))
}

// onTrain returns a client that takes whatever is stored, however old, and asks the network for the rest. Offline is
// the same without a network: what is not stored is answered by a 504 at once.
func onTrain(cache *larder.Cache, offline bool) *http.Client {
	m := larder.PreferStored
	if offline {
		m = larder.OfflineStale
	}
	return &http.Client{Transport: mode{m, cache}}
}
