package suite

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"testing"
)

// tripper is a cache as a function.
type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// caches are caches for one run each, most of which break a rule.
func caches(t *testing.T) map[string]tripper {
	base := Connect()
	t.Cleanup(base.CloseIdleConnections)
	through := tripper(base.RoundTrip)
	asks := func(edit func(*http.Request)) tripper {
		return func(req *http.Request) (*http.Response, error) {
			req = req.Clone(req.Context())
			edit(req)
			return through(req)
		}
	}
	answers := func(edit func(*http.Response)) tripper {
		return func(req *http.Request) (*http.Response, error) {
			resp, err := through(req)
			if err == nil {
				edit(resp)
			}
			return resp, err
		}
	}
	header := func(name, value string) tripper {
		return answers(func(resp *http.Response) { resp.Header.Set(name, value) })
	}
	without := func(name string) tripper {
		return answers(func(resp *http.Response) { resp.Header.Del(name) })
	}
	status := func(code int) tripper {
		return answers(func(resp *http.Response) { resp.StatusCode = code })
	}
	body := func(text string) tripper {
		return answers(func(resp *http.Response) {
			resp.Body.Close()
			resp.Body = io.NopCloser(strings.NewReader(text))
		})
	}
	return map[string]tripper{
		"passes on": through,
		"keeps":     keeps(through, func(*http.Response) {}),
		"keeps and answers 304": keeps(through, func(resp *http.Response) {
			resp.StatusCode = http.StatusNotModified
			resp.Header = http.Header{}
			resp.Body = http.NoBody
		}),
		"keeps and answers 200 without the count": keeps(through, func(resp *http.Response) { resp.Header.Del("Server-Request-Count") }),
		"keeps and pretends":                      keeps(through, func(resp *http.Response) { resp.Header.Set("Server-Request-Count", "2") }),
		"validates":                               validates(through, "ETag", "Last-Modified", "Changed"),
		"validates and forgets the 304":           validates(through, "ETag", "Last-Modified", ""),
		"validates by ETag, as if it were weak": asks(func(req *http.Request) {
			if req.Header.Get("Req-Num") == "2" {
				req.Header.Set("If-None-Match", `W/"one"`)
			}
		}),
		"validates by a list": asks(func(req *http.Request) {
			if req.Header.Get("Req-Num") == "2" {
				req.Header.Set("If-None-Match", `"none", "one"`)
			}
		}),
		"asks twice": func(req *http.Request) (*http.Response, error) {
			resp, err := through(req)
			if err == nil {
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				resp, err = through(req)
			}
			return resp, err
		},
		"asks in another's name": func(req *http.Request) (*http.Response, error) {
			req = req.Clone(req.Context())
			req.Header.Set("Req-Num", "1")
			resp, err := through(req)
			if err == nil {
				resp.Header.Del("Request-Numbers")
			}
			return resp, err
		},
		"hangs": func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		},
		"breaks": func(*http.Request) (*http.Response, error) { return nil, errors.New("broken") },
		"breaks off": answers(func(resp *http.Response) {
			resp.Body = io.NopCloser(io.MultiReader(strings.NewReader("a"), brokenReader{}))
		}),
		"says nothing": func(req *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
		},
		"answers 200":              status(http.StatusOK),
		"answers 203":              status(http.StatusNonAuthoritativeInfo),
		"answers 304":              status(http.StatusNotModified),
		"answers part":             body("part"),
		"answers whole":            body("whole"),
		"answers nothing":          body(""),
		"drops Found":              without("Found"),
		"drops Quiet":              without("Quiet"),
		"drops Date":               without("Date"),
		"drops Other":              without("Other"),
		"drops Age":                without("Age"),
		"drops Server-Now":         without("Server-Now"),
		"Found is a":               header("Found", "a"),
		"Age is 30":                header("Age", "30"),
		"Date is another":          header("Date", "Thu, 01 Jan 1970 00:00:00 GMT"),
		"Expires is another":       header("Expires", "Thu, 01 Jan 1970 00:00:00 GMT"),
		"Vary is *":                header("Vary", "*"),
		"Content-Location is full": header("Content-Location", "http://localhost/x"),
		"Location is full":         header("Location", "http://localhost/x"),
		"swallows 1xx": func(req *http.Request) (*http.Response, error) {
			return through(req.Clone(context.Background()))
		},
		"says 103": func(req *http.Request) (*http.Response, error) {
			hint(req, 103, nil)
			return through(req.Clone(context.Background()))
		},
		"says 102 and 103, and no more": func(req *http.Request) (*http.Response, error) {
			hint(req, 102, nil)
			hint(req, 103, textproto.MIMEHeader{"Link": {"</a>"}})
			return through(req.Clone(context.Background()))
		},
		"drops Asked":       asks(func(req *http.Request) { req.Header.Del("Asked") }),
		"Asked is x":        asks(func(req *http.Request) { req.Header.Set("Asked", "x") }),
		"drops conditions":  asks(func(req *http.Request) { req.Header.Del("If-Modified-Since") }),
		"asks by another":   asks(func(req *http.Request) { req.Method = http.MethodPost }),
		"invents an answer": func(*http.Request) (*http.Response, error) { return inventedAnswer(), nil },
	}
}

func hint(req *http.Request, code int, header textproto.MIMEHeader) {
	httptrace.ContextClientTrace(req.Context()).Got1xxResponse(code, header)
}

func inventedAnswer() *http.Response {
	h := http.Header{"Server-Now": {"1000"}}
	return &http.Response{StatusCode: http.StatusOK, Header: h, Body: http.NoBody}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("broken off") }

// keeps answers a GET with the first response to its URL ever after, as edited.
func keeps(next tripper, edit func(*http.Response)) tripper {
	type kept struct {
		resp http.Response
		body []byte
	}
	var mu sync.Mutex
	all := make(map[string]*kept)
	return func(req *http.Request) (*http.Response, error) {
		mu.Lock()
		k := all[req.URL.String()]
		mu.Unlock()
		if k != nil && req.Method == http.MethodGet {
			resp := k.resp
			resp.Header = resp.Header.Clone()
			resp.Body = io.NopCloser(bytes.NewReader(k.body))
			edit(&resp)
			return &resp, nil
		}
		resp, err := next(req)
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return nil, err
		}
		resp.Body.Close()
		mu.Lock()
		all[req.URL.String()] = &kept{*resp, body}
		mu.Unlock()
		resp.Body = io.NopCloser(bytes.NewReader(body))
		return resp, nil
	}
}

// validates asks about the first response to a URL ever after, and takes from a 304 the header that is named.
func validates(next tripper, tag, modified, updated string) tripper {
	remembers := keeps(next, func(*http.Response) {})
	return func(req *http.Request) (*http.Response, error) {
		stored, err := remembers(req)
		if err != nil || req.Header.Get("Req-Num") == "1" {
			return stored, err
		}
		req = req.Clone(req.Context())
		if v := stored.Header.Get(tag); v != "" {
			req.Header.Set("If-None-Match", v)
		}
		if v := stored.Header.Get(modified); v != "" {
			req.Header.Set("If-Modified-Since", v)
		}
		resp, err := next(req)
		if err != nil || resp.StatusCode != http.StatusNotModified {
			return resp, err
		}
		resp.Body.Close()
		if v := resp.Header.Get(updated); v != "" {
			stored.Header.Set(updated, v)
		}
		return stored, nil
	}
}
