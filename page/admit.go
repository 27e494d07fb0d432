package page

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// admit returns why r is refused; nil: it is answered. The page's files hold nothing secret, so only the calls of its
// script need the token.
func (p *Page) admit(r *http.Request, isCall bool) error {
	if !p.known(r.Host) {
		return faultf(http.StatusMisdirectedRequest, "this page is not served under the name it was asked for; it answers for localhost, "+
			"IP addresses, and the names that it was given")
	}
	if p.Token == "" && !fromHere(r) {
		return faultf(http.StatusForbidden, "without a token this page answers only the machine that it runs on")
	}
	if !isCall {
		return nil
	}
	// No other site may ask in a user's name, be it to change something or to keep the store busy. A page on another
	// port is of another origin, but of the same site.
	if from := r.Header.Get("Sec-Fetch-Site"); from == "cross-site" || from == "same-site" {
		return faultf(http.StatusForbidden, "another site asked for this")
	}
	if err := p.site.Check(r); err != nil {
		return faultf(http.StatusForbidden, "another site asked for this: %v", err)
	}
	if p.Token != "" && !p.knows(r) {
		return faultf(http.StatusUnauthorized, "this page asks for its token")
	}
	return nil
}

// known reports whether the page answers for host: localhost, one of Hosts, or an IP address, since only names can be
// made to lead here.
func (p *Page) known(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return name == "localhost" || strings.HasSuffix(name, ".localhost") ||
		slices.ContainsFunc(p.Hosts, func(h string) bool { return strings.EqualFold(h, name) })
}

// fromHere reports whether r comes from this machine, and not through a proxy that says so.
func fromHere(r *http.Request) bool {
	for _, name := range []string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip"} {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && from.Addr().Unmap().IsLoopback()
}

// knows reports whether r has the token. How long that takes does not depend on how much of it is right.
func (p *Page) knows(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	got, want := sha256.Sum256([]byte(strings.TrimSpace(token))), sha256.Sum256([]byte(p.Token))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(got[:], want[:]) == 1
}
