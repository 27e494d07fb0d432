package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-go/larder"
)

// request is what a command line says of its requests, without their URLs.
type request struct {
	method  string
	head    bool
	headers []string
	data    []string

	ttl                                           ttlFlag
	refresh, forceRefresh, offline, stale, bypass bool

	header http.Header // of headers
	body   []byte      // of data; nil: none
}

// flags adds the flags that make up a request, and so its key.
func (r *request) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&r.method, "request", "X", "", "the request's `METHOD` (default GET, POST with --data)")
	f.BoolVarP(&r.head, "head", "I", false, "request the head alone, by HEAD")
	f.StringArrayVarP(&r.headers, "header", "H", nil, "a `FIELD`, \"Name: value\"; \"Name;\" is an empty one, \"Name:\" leaves out what larder would send; may be repeated")
	f.StringArrayVarP(&r.data, "data", "d", nil, "the request's `BODY`; @FILE: a file's, @-: standard input; may be repeated")
	exclusive(cmd, "head", "request")
	exclusive(cmd, "head", "data")
	complete(cmd, "request", oneOf("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"))
}

// modeFlags adds the flags that say what is asked of the cache.
func (r *request) modeFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.Var(&r.ttl, "ttl", "keep it as fresh for `DURATION`: 90s, 15m, 2h, 7d, forever or never")
	f.BoolVar(&r.refresh, "refresh", false, "ask the origin whether a stored response still holds, even a fresh one")
	f.BoolVar(&r.forceRefresh, "force-refresh", false, "fetch the whole response anew")
	f.BoolVar(&r.offline, "offline", false, "never ask the origin")
	f.BoolVar(&r.stale, "stale", false, "take what is stored, however stale, and ask the origin only for the rest")
	f.BoolVar(&r.bypass, "bypass", false, "neither read nor write the cache")
	exclusive(cmd, "refresh", "force-refresh", "offline", "bypass")
	exclusive(cmd, "stale", "refresh", "force-refresh", "bypass")
	exclusive(cmd, "ttl", "bypass")
	complete(cmd, "ttl", oneOf("5m", "1h", "1d", "7d", "forever", "never"))
}

// exact reports whether the command line describes a request, and not just a URL.
func (r *request) exact() bool { return r.method != "" || r.head || r.headers != nil || r.data != nil }

// prepare reads the flags, and the files that they name.
func (r *request) prepare(cmd *cobra.Command) error {
	if r.method != "" && !isToken(r.method) {
		return usagef("--request %q: want a method, such as PUT", r.method)
	}
	r.header = http.Header{"User-Agent": {"larder"}}
	if r.data != nil {
		r.header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if err := r.readHeader(); err != nil {
		return err
	}
	return r.readBody(cmd)
}

// readHeader reads the fields that are given. The first one of a name replaces the default; one without a value is not
// sent.
func (r *request) readHeader() error {
	given := make(map[string]bool)
	for _, line := range r.headers {
		name, value, ok := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		none := ok && value == ""
		if !ok {
			name, ok = strings.CutSuffix(line, ";")
		}
		name = http.CanonicalHeaderKey(strings.TrimSpace(name))
		if !ok || !isToken(name) || strings.ContainsFunc(value, controls) {
			return usagef("--header %q: want \"Name: value\" or \"Name;\"", line)
		}
		if name == "Host" {
			return usagef("--header %q: the cache tells origins apart by the URL, so name the host there", line)
		}
		if !given[name] {
			given[name] = true
			r.header.Del(name)
		}
		switch {
		case !none:
			r.header.Add(name, value)
		case name == "User-Agent":
			r.header[name] = nil // else net/http sends its own
		}
	}
	return nil
}

func (r *request) readBody(cmd *cobra.Command) error {
	if r.data == nil {
		return nil
	}
	r.body = []byte{}
	for i, d := range r.data {
		if i > 0 {
			r.body = append(r.body, '&')
		}
		b := []byte(d)
		var err error
		switch file, ok := strings.CutPrefix(d, "@"); {
		case ok && file == "-":
			if b, err = unlessInterrupted(cmd.Context(), 0, func() ([]byte, error) { return io.ReadAll(cmd.InOrStdin()) }); err != nil {
				return fmt.Errorf("--data @-: read standard input: %w", err)
			}
		case ok:
			if b, err = unlessInterrupted(cmd.Context(), 0, func() ([]byte, error) { return os.ReadFile(file) }); err != nil {
				return fmt.Errorf("--data %s: %w", d, err)
			}
		}
		r.body = append(r.body, b...)
	}
	return nil
}

func controls(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// isToken reports whether s can be a method, or a field's name (RFC 9110 §5.6.2).
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r) })
}

func (r *request) verb() string {
	switch {
	case r.method != "":
		return r.method
	case r.head:
		return http.MethodHead
	case r.data != nil:
		return http.MethodPost
	}
	return http.MethodGet
}

// keyRules sets the rules under which the request has a key, whatever its method, after those of the configuration
// file.
func (r *request) keyRules(a *app, c *larder.Cache) error {
	for _, rule := range r.rules() {
		if rule.Check() != nil {
			return usagef("--request %q: responses to that are never stored; methods are in capitals", r.method)
		}
	}
	return c.SetRules(a.file.LarderRules(r.rules()...)...)
}

// rules returns the rules by which responses to the request's method may be stored: none for GET, HEAD and QUERY.
func (r *request) rules() []larder.Rule {
	if verb := r.verb(); verb != http.MethodGet && verb != http.MethodHead && verb != "QUERY" {
		return []larder.Rule{{Methods: []string{http.MethodGet, http.MethodHead, verb}}}
	}
	return nil
}

// setRules sets the rules that the command line asks for: with --ttl, responses to its method are stored, whatever that
// is.
func (r *request) setRules(a *app, c *larder.Cache) error {
	if r.ttl == 0 {
		return nil
	}
	return r.keyRules(a, c)
}

// mode returns what is asked of the cache.
func (r *request) mode() larder.Mode {
	switch {
	case r.refresh:
		return larder.Refresh
	case r.forceRefresh:
		return larder.ForceRefresh
	case r.offline && r.stale:
		return larder.OfflineStale
	case r.offline:
		return larder.Offline
	case r.stale:
		return larder.PreferStored
	case r.bypass:
		return larder.Bypass
	}
	return larder.Standard
}

// to returns the request to one URL.
func (r *request) to(ctx context.Context, u *url.URL) (*http.Request, error) {
	ctx = larder.WithMode(ctx, r.mode())
	ctx = larder.WithTTL(ctx, time.Duration(r.ttl))
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.verb(), u.String(), body)
	if err != nil {
		return nil, usagef("%w", err)
	}
	req.Header = r.header.Clone()
	userToHeader(req)
	return req, nil
}

// userToHeader moves the user of the URL into a header field, as http.Client does, so that the cache sees the same
// request where there is no http.Client.
func userToHeader(req *http.Request) {
	user := req.URL.User
	if user == nil {
		return
	}
	if req.Header["Authorization"] == nil {
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
	}
	req.URL.User = nil
}

// parseURL reads an absolute http or https URL, which may have blanks, as URLs that people copy do.
func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err == nil {
		u.RawQuery = strings.ReplaceAll(u.RawQuery, " ", "%20") // String escapes the path, and not the query
	}
	lower := strings.ToLower(s)
	switch {
	case !strings.HasPrefix(lower, "http://") && !strings.HasPrefix(lower, "https://"):
		return nil, usagef("URL %q: want it to begin with http:// or https://", withoutPassword(s))
	case err != nil:
		return nil, usagef("URL %q: %w", withoutPassword(s), errors.Unwrap(err)) // without the *url.Error, which repeats the URL
	case u.Hostname() == "":
		return nil, usagef("URL %q: there is no host in it", withoutPassword(s))
	}
	return u, nil
}

// withoutPassword returns a URL without its password, for messages, also if it is not valid.
func withoutPassword(s string) string {
	at := strings.LastIndexByte(s, '@')
	u, err := url.Parse(s)
	switch {
	case at < 0 || err == nil && u.User == nil && u.Opaque == "":
		return s
	case err == nil && u.Opaque == "":
		return u.Redacted()
	}
	return "..." + s[at:]
}

func parseURLs(args []string) ([]*url.URL, error) {
	urls := make([]*url.URL, len(args))
	for i, arg := range args {
		u, err := parseURL(arg)
		if err != nil {
			return nil, err
		}
		urls[i] = u
	}
	return urls, nil
}
