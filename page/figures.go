package page

import (
	"context"
	"net/http"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/internal/figures"
)

const (
	mostHosts = 30
	sizeLimit = 5 * time.Second // for the store to count what it holds
)

// state is what the charts show.
type state struct {
	Now   time.Time `json:"now"`
	Since time.Time `json:"since"` // of the first request; zero: there was none

	Total   counts   `json:"total"`
	Hosts   []counts `json:"hosts"`   // the mostHosts with the most requests; the others are in the total alone
	Minutes []counts `json:"minutes"` // of the last hour, those in which something happened
	// StoreTimes and OriginTimes count answers by how long they took: see figures.Histogram.
	StoreTimes  figures.Histogram `json:"store_times"`
	OriginTimes figures.Histogram `json:"origin_times"`

	Stats     larder.Stats `json:"stats"`
	Responses *int         `json:"responses"` // that are stored; null: the store does not say
	Bytes     *int64       `json:"bytes"`
}

// counts are figures.Counts without histograms: the page asks for them every second, so they are small.
type counts struct {
	Host        string     `json:"host,omitempty"`
	Time        *time.Time `json:"time,omitempty"`
	Hits        int64      `json:"hits"`
	Stale       int64      `json:"stale"`
	Revalidated int64      `json:"revalidated"`
	Misses      int64      `json:"misses"`
	Bypassed    int64      `json:"bypassed"`
	Refused     int64      `json:"refused"`
	Saved       int64      `json:"saved"`       // bytes
	Fetched     int64      `json:"fetched"`     // bytes from the origin
	StoreMean   float64    `json:"store_mean"`  // seconds until the head; 0: none
	StoreP95    float64    `json:"store_p95"`   // to within a factor of two
	OriginMean  float64    `json:"origin_mean"` // as above, of those for which the origin was asked
	OriginP95   float64    `json:"origin_p95"`
	TimeSaved   float64    `json:"time_saved"` // seconds: how much longer the origin would have taken
}

func newCounts(c *figures.Counts) counts {
	out := counts{Hits: c.Hits, Stale: c.Stale, Revalidated: c.Revalidated, Misses: c.Misses, Bypassed: c.Bypassed, Refused: c.Refused,
		Saved: c.Saved, Fetched: c.Origin.Bytes,
		StoreMean: mean(c.Store), StoreP95: c.Store.Times.Quantile(0.95).Seconds(),
		OriginMean: mean(c.Origin), OriginP95: c.Origin.Times.Quantile(0.95).Seconds()}
	if c.Origin.Responses > 0 {
		out.TimeSaved = max(0, float64(c.Store.Responses)*(out.OriginMean-out.StoreMean))
	}
	return out
}

func mean(s figures.Side) float64 {
	if s.Responses == 0 {
		return 0
	}
	return s.Time.Seconds() / float64(s.Responses)
}

func (p *Page) figures(w http.ResponseWriter, r *http.Request) error {
	now := time.Now()
	s := p.recorder.Snapshot(now)
	out := state{Now: now.UTC(), Since: s.Since.UTC(), Total: newCounts(&s.Total), StoreTimes: s.Total.Store.Times,
		OriginTimes: s.Total.Origin.Times, Stats: p.Cache.Stats(), Hosts: []counts{}, Minutes: []counts{}}
	out.Total.TimeSaved = 0 // summed by host, since a slow host without hits saves nothing
	for i, host := range s.Hosts {
		c := newCounts(&host.Counts)
		out.Total.TimeSaved += c.TimeSaved
		if i < mostHosts {
			c.Host = host.Host
			out.Hosts = append(out.Hosts, c)
		}
	}
	for i := range s.Minutes {
		c := newCounts(&s.Minutes[i].Counts)
		c.Time = &s.Minutes[i].Time
		out.Minutes = append(out.Minutes, c)
	}
	responses, bytes, err := p.size.Of(func() (int, int64, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), sizeLimit) // the answer is for all who look
		defer cancel()
		return p.Cache.Size(ctx)
	})
	if err == nil {
		out.Responses, out.Bytes = &responses, &bytes
	}
	return writeJSON(w, out)
}
