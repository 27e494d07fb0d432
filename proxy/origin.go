package proxy

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Origin is a server, and the requests that are for it: those that name Host, in a path below Prefix. What follows the
// prefix is appended to the path of URL. Of several origins that fit a request the one with a Host comes first, then
// the one with the longest Prefix.
type Origin struct {
	Host   string   // without a port: with any; "": every host
	Prefix string   // "/v1" is /v1 and everything below /v1/; "": every path. It is compared with the path as the client wrote it.
	URL    *url.URL // http or https, without user, query and fragment
}

// ParseOrigin reads URL, or PREFIX=URL, HOST=URL or HOST/PREFIX=URL. Its errors hold no password.
func ParseOrigin(s string) (Origin, error) {
	fault := func(format string, a ...any) (Origin, error) {
		return Origin{}, fmt.Errorf("origin %q: %w", withoutPassword(s), fmt.Errorf(format, a...))
	}
	var o Origin
	target := s
	if !hasScheme(s) {
		where, rest, found := strings.Cut(s, "=")
		if !found || !hasScheme(rest) {
			return fault("want a URL that begins with http:// or https://, or PREFIX=URL, HOST=URL or HOST/PREFIX=URL")
		}
		target = rest
		if i := strings.IndexByte(where, '/'); i >= 0 {
			o.Host, o.Prefix = where[:i], where[i:]
		} else {
			o.Host = where
		}
		if where == "" {
			return fault("there is neither a prefix nor a host before the =")
		}
		o.Prefix = strings.TrimRight(o.Prefix, "/")
	}
	u, err := url.Parse(target)
	if err != nil {
		var parse *url.Error
		if errors.As(err, &parse) { // which begins with the URL, and so perhaps with a password
			err = parse.Err
		}
		if strings.Contains(target, "@") {
			err = errors.New("it is not a URL")
		}
		return fault("%w", err)
	}
	o.URL = u
	if err := o.check(); err != nil {
		return fault("%w", err)
	}
	return o, nil
}

func hasScheme(s string) bool {
	lower := strings.ToLower(s)
	return strings.HasPrefix(lower, "http://") || strings.HasPrefix(lower, "https://")
}

func withoutPassword(s string) string {
	before, rest, found := strings.Cut(s, "://")
	if !found {
		return s
	}
	return before + "://" + rest[strings.LastIndexByte(rest, '@')+1:]
}

// String returns o as ParseOrigin reads it.
func (o Origin) String() string {
	if o.Host == "" && o.Prefix == "" {
		return o.URL.String()
	}
	return o.Host + o.Prefix + "=" + o.URL.String()
}

func (o Origin) check() error {
	u := o.URL
	switch {
	case u == nil:
		return errors.New("it has no URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("scheme is %q, want http or https", u.Scheme)
	case u.Hostname() == "":
		return errors.New("there is no host in it")
	case u.User != nil:
		return errors.New("it may hold no user or password")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return errors.New("it may hold no query or fragment")
	case dotted(u.Path):
		return errors.New("its path may hold no . or .. segments")
	case o.Prefix != "" && (o.Prefix[0] != '/' || strings.HasSuffix(o.Prefix, "/") || strings.Contains(o.Prefix, "//") || dotted(o.Prefix)):
		return fmt.Errorf("prefix is %q, want one such as /v1", o.Prefix)
	case strings.ContainsAny(o.Prefix, `?#\`) || (&url.URL{Path: unescaped(o.Prefix), RawPath: o.Prefix}).EscapedPath() != o.Prefix:
		return fmt.Errorf("prefix is %q, want it as it stands in a URL", o.Prefix)
	}
	if o.Host != "" && !isHost(o.Host) {
		return fmt.Errorf("host is %q, want one such as api.local or api.local:8080", o.Host)
	}
	return nil
}

// isHost reports whether s is a host and perhaps a port, as a URL may have them.
func isHost(s string) bool {
	u, err := url.Parse("//" + s)
	return err == nil && u.Host == s && u.Hostname() != ""
}

func unescaped(path string) string {
	if s, err := url.PathUnescape(path); err == nil {
		return s
	}
	return path
}

// order checks the origins, and returns the most specific first.
func order(origins []Origin) ([]Origin, error) {
	if len(origins) == 0 {
		return nil, errors.New("proxy: no origin is given")
	}
	table := slices.Clone(origins)
	for i := range table {
		o := &table[i]
		if err := o.check(); err != nil {
			return nil, fmt.Errorf("proxy: origin %s%s: %w", o.Host, o.Prefix, err)
		}
		o.Host = normalHost(o.Host)
		if slices.ContainsFunc(table[:i], func(b Origin) bool { return b.Host == o.Host && b.Prefix == o.Prefix }) {
			return nil, fmt.Errorf("proxy: two origins for %q", o.Host+o.Prefix)
		}
	}
	slices.SortFunc(table, func(a, b Origin) int {
		if (a.Host == "") != (b.Host == "") {
			return len(b.Host) - len(a.Host)
		}
		if a.Host != b.Host {
			return strings.Compare(b.Host, a.Host)
		}
		return len(b.Prefix) - len(a.Prefix)
	})
	return table, nil
}

// admit returns the origin that a request is for, or why it is refused.
func (p *Proxy) admit(r *http.Request) (*Origin, *Fault) {
	switch {
	case r.Method == http.MethodConnect:
		return nil, refusal(http.StatusMethodNotAllowed, "there are no tunnels here: CONNECT is refused")
	case r.Method == http.MethodTrace:
		return nil, refusal(http.StatusMethodNotAllowed, "TRACE is refused")
	case !token(r.Method): // as HTTP/2 may have it
		return nil, refusal(http.StatusBadRequest, "the request's method is not valid")
	case r.RequestURI == "*" && r.Method != http.MethodOptions:
		return nil, refusal(http.StatusBadRequest, "* is for OPTIONS alone")
	case r.URL.Scheme != "" && r.URL.Scheme != "http" && r.URL.Scheme != "https", r.URL.Opaque != "", r.URL.User != nil,
		strings.Contains(r.URL.RawQuery, " "): // as HTTP/2 may have it; in HTTP/1.1 the target would end there
		return nil, refusal(http.StatusBadRequest, "the request's target is not an http URL")
	case r.Host != "" && !isHost(r.Host): // net/http does not check that
		return nil, refusal(http.StatusBadRequest, "the request's host is not valid")
	case !p.ours(r):
		return nil, refusal(http.StatusMisdirectedRequest, "the request is for a host that is not served here")
	case dotted(r.URL.Path):
		return nil, refusal(http.StatusBadRequest, "the path holds . or .. segments")
	case p.loops(r):
		return nil, &Fault{Status: http.StatusBadGateway, Type: "proxy_loop_detected", Detail: "the request has come by here before"}
	}
	if f := p.tooLong(r); f != nil {
		return nil, f
	}
	if r.RequestURI == "*" {
		return nil, nil
	}
	path := escapedPath(r.URL)
	hostFits := false
	for i := range p.table {
		o := &p.table[i]
		if o.Host != "" && !names(o.Host, r.Host) {
			continue
		}
		hostFits = true
		if rest, ok := strings.CutPrefix(path, o.Prefix); ok && (rest == "" || rest[0] == '/') {
			return o, nil
		}
	}
	if !hostFits {
		return nil, refusal(http.StatusMisdirectedRequest, "the request is for a host that is not served here")
	}
	return nil, &Fault{Status: http.StatusNotFound, Type: "destination_not_found", Detail: "no origin is configured for this path"}
}

// ours reports whether the request names a host under which the proxy may be asked for.
func (p *Proxy) ours(r *http.Request) bool {
	host := normalHost(r.Host)
	name, port := splitHost(host)
	listed := p.hosts[host] || p.hosts[name]
	for i := range p.table {
		if p.table[i].Host != "" && names(p.table[i].Host, r.Host) {
			listed = true
		}
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	at := addrPort(local)
	loopback := at.Addr().IsLoopback()
	here := loopback && isLoopback(name)
	if r.URL.Host != "" { // the absolute form, as sent to a forward proxy
		addr, _ := netip.ParseAddr(strings.Trim(name, "[]"))
		return listed || (here || at.IsValid() && addr.Unmap() == at.Addr()) && port == int(at.Port())
	}
	if listed || p.hosts["*"] || name == "" {
		return true
	}
	return p.Hosts == nil && (here || !loopback)
}

// names reports whether the host of a request is the one meant.
func names(meant, host string) bool {
	host = normalHost(host)
	if host == meant {
		return true
	}
	name, _ := splitHost(host)
	return name == meant
}

func normalHost(host string) string {
	host = strings.ToLower(host)
	name, port, found := strings.Cut(host, ":")
	if found && !strings.Contains(port, ":") {
		if !strings.HasSuffix(name, ".") {
			return host
		}
		return strings.TrimSuffix(name, ".") + ":" + port
	}
	return strings.TrimSuffix(host, ".")
}

// splitHost returns the name, with the brackets of an IPv6 address, and the port, 80 if there is none.
func splitHost(host string) (name string, port int) {
	i := strings.LastIndexByte(host, ':')
	if i < 0 || strings.HasSuffix(host, "]") {
		return host, 80
	}
	for _, c := range host[i+1:] {
		if c < '0' || c > '9' || port > 65535 {
			return host[:i], -1
		}
		port = port*10 + int(c-'0')
	}
	return host[:i], port
}

func isLoopback(name string) bool {
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return err == nil && addr.Unmap().IsLoopback()
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		at := t.AddrPort()
		return netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port())
	}
	return netip.AddrPort{}
}

// dotted reports whether a decoded path has a segment . or .., or one that an origin could take for it. It would lead
// out of a prefix, and cache and origin might not agree on what it means.
func dotted(path string) bool {
	if !strings.Contains(path, ".") && !strings.Contains(path, "%") {
		return false
	}
	for segment := range strings.FieldsFuncSeq(onceMore.Replace(path), func(r rune) bool { return r == '/' || r == '\\' }) {
		if segment, _, _ = strings.Cut(segment, ";"); segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

// onceMore decodes the escapes that can make a dot segment. Any other % in a decoded path may begin no escape.
var onceMore = strings.NewReplacer("%2e", ".", "%2E", ".", "%2f", "/", "%2F", "/", "%5c", `\`, "%5C", `\`, "%3b", ";", "%3B", ";")

// escapedPath returns the path as it was written, but with characters escaped that no URL may have (RFC 3986 §3.3). If
// there are any, URL.EscapedPath would encode the whole path anew, and so turn %2F into a slash.
func escapedPath(u *url.URL) string {
	if path, err := url.PathUnescape(u.RawPath); u.RawPath == "" || err != nil || path != u.Path { // perhaps a handler before has changed Path
		return u.EscapedPath()
	}
	var b strings.Builder
	for _, c := range []byte(u.RawPath) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"#<>?\^`+"`{|}", c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// target returns the URL at the origin.
func (o *Origin) target(u *url.URL) *url.URL {
	path := strings.TrimSuffix(o.URL.EscapedPath(), "/") + strings.TrimPrefix(escapedPath(u), o.Prefix)
	if path == "" {
		path = "/"
	}
	return &url.URL{Scheme: o.URL.Scheme, Host: o.URL.Host, Path: unescaped(path), RawPath: path,
		RawQuery: u.RawQuery, ForceQuery: u.ForceQuery}
}

// back returns the Location of a response to a request for target as the client must see it: a URL below o's becomes
// one of the proxy.
func (o *Origin) back(location string, target *url.URL) string {
	ref, err := url.Parse(location)
	if err != nil || ref.Host == "" && !strings.HasPrefix(ref.Path, "/") {
		return location // relative to a path that ends as the client's
	}
	ref.RawPath = escapedPath(ref)
	u := target.ResolveReference(ref)
	base := strings.TrimSuffix(o.URL.EscapedPath(), "/")
	rest, ok := strings.CutPrefix(u.EscapedPath(), base)
	if !strings.EqualFold(u.Scheme, o.URL.Scheme) || !strings.EqualFold(u.Host, o.URL.Host) || u.User != nil ||
		!ok || rest != "" && rest[0] != '/' {
		return location
	}
	if ref.Host == "" && base == o.Prefix {
		return location
	}
	path := o.Prefix + rest
	if path == "" {
		path = "/"
	}
	if strings.HasPrefix(path, "//") { // else it would begin with a host
		path = "/." + path
	}
	if u.RawQuery != "" || u.ForceQuery {
		path += "?" + u.RawQuery
	}
	if u.Fragment != "" {
		path += "#" + u.EscapedFragment()
	}
	return path
}
