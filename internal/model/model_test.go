package model

import (
	"net/http"
	"strings"
	"testing"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store/memory"
)

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestWhatIsSpoiltIsFound spoils what goes in or comes out of a cache in small ways, each of which is to be found soon.
func TestWhatIsSpoiltIsFound(t *testing.T) {
	answer := func(spoil func(*http.Request, *http.Response)) subject {
		return func(c *larder.Cache) http.RoundTripper {
			return transport(func(r *http.Request) (*http.Response, error) {
				resp, err := c.RoundTrip(r)
				if err == nil {
					spoil(r, resp)
				}
				return resp, err
			})
		}
	}
	asked := func(spoil func(http.Header)) subject {
		return func(c *larder.Cache) http.RoundTripper {
			return transport(func(r *http.Request) (*http.Response, error) { spoil(r.Header); return c.RoundTrip(r) })
		}
	}
	for name, spoilt := range map[string]subject{
		"a status": answer(func(_ *http.Request, resp *http.Response) {
			if resp.StatusCode == http.StatusNotModified {
				resp.StatusCode = http.StatusOK
			}
		}),
		"Age": answer(func(_ *http.Request, resp *http.Response) {
			if resp.Header.Get("Age") == "5" {
				resp.Header.Set("Age", "4")
			}
		}),
		"a field too many": answer(func(r *http.Request, resp *http.Response) {
			if r.Method == http.MethodPut {
				resp.Header.Set("Warning", "110")
			}
		}),
		"Cache-Status": answer(func(_ *http.Request, resp *http.Response) {
			resp.Header.Set("Cache-Status", strings.Replace(resp.Header.Get("Cache-Status"), "vary-miss", "miss", 1))
		}),
		"a variant":     asked(func(h http.Header) { h.Del("X-Lang") }),
		"a user":        asked(func(h http.Header) { h.Del("Authorization") }),
		"what is asked": asked(func(h http.Header) { h.Del("Cache-Control") }),
		"a second request": func(c *larder.Cache) http.RoundTripper {
			return transport(func(r *http.Request) (*http.Response, error) {
				if r.Method == http.MethodPost {
					c.RoundTrip(r.Clone(larder.WithMode(r.Context(), larder.ForceRefresh)))
				}
				return c.RoundTrip(r)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			on := new(memory.Store)
			for seed := range uint64(200) {
				if err := trial(seed, on, spoilt); err != nil {
					return
				}
			}
			t.Error("not found in 200 sequences")
		})
	}
}

// TestAFailureIsShownAtItsShortest cuts down a sequence that fails where Age is 5.
func TestAFailureIsShownAtItsShortest(t *testing.T) {
	subject := func(c *larder.Cache) http.RoundTripper {
		return transport(func(r *http.Request) (*http.Response, error) {
			resp, err := c.RoundTrip(r)
			if err == nil && resp.Header.Get("Age") == "5" && larder.Info(resp).Outcome == larder.Hit {
				resp.Header.Set("Age", "50")
			}
			return resp, err
		})
	}
	on := new(memory.Store)
	var err error
	for seed := uint64(1); err == nil; seed++ {
		err = trial(seed, on, subject)
	}
	for _, words := range []string{"seed ", "-model.seed=", "GET /", "wait ", "Age: 50", "want"} {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("%q is not in what is told: %v", words, err)
		}
	}
	if n := strings.Count(err.Error(), "\n   "); n > 12 {
		t.Errorf("it is not short: %v", err)
	}
}
