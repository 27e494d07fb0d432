package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/internal/errno"
)

// Fault is why the proxy made a response itself, or could not pass one on whole.
type Fault struct {
	Status int    // of the response
	Type   string // as RFC 9209 §2.3 names it
	Detail string // one sentence for the client; it holds nothing that a request or an origin said
	Err    error  // what happened; nil: the request was refused
	params string // further parameters of Proxy-Status
}

func (f *Fault) Error() string {
	if f.Err == nil {
		return f.Detail
	}
	return f.Detail + ": " + f.Err.Error()
}

func (f *Fault) Unwrap() error { return f.Err }

func refusal(status int, detail string) *Fault {
	return &Fault{Status: status, Type: "http_request_error", Detail: detail}
}

// status returns f as a member of Proxy-Status.
func (f *Fault) status(name string) string {
	name = larder.Decision{}.CacheStatus(name) // the name alone, as a token or a string
	return name + "; error=" + f.Type + f.params + `; detail="` + f.Detail + `"`
}

// fail answers with f.
func (x *exchange) fail(f *Fault) {
	p := x.p
	if p.Observe != nil {
		p.Observe(x.r, f)
	}
	h := x.w.Header()
	clear(h)
	h.Set("Proxy-Status", f.status(p.name()))
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	if f.Status == http.StatusMethodNotAllowed {
		h.Set("Allow", allowed)
	}
	text := f.Detail + "\n"
	h.Set("Content-Length", strconv.Itoa(len(text)))
	x.allowTime()
	x.writeHead(f.Status)
	io.WriteString(x.w, text)
}

// fault returns why a request failed with err: by its body, or else by the origin.
func (b *requestBody) fault(err error) *Fault {
	if fault := b.err.Load(); fault != nil {
		err = *fault
		f := refusal(http.StatusBadRequest, "the request's body broke off")
		switch {
		case errors.Is(err, errTooLong):
			f = refusal(http.StatusRequestEntityTooLarge, "the request's body is longer than this proxy takes")
		case errors.Is(err, os.ErrDeadlineExceeded):
			f = refusal(http.StatusRequestTimeout, "the request's body took too long")
		}
		f.Err = err
		return f
	}
	f := originFault(err)
	f.Err = err
	return f
}

func gateway(status int, kind, detail string) *Fault {
	return &Fault{Status: status, Type: kind, Detail: detail}
}

// originFault returns what err of the cache's Base means, by type or by text.
func originFault(err error) *Fault {
	const bad, slow = http.StatusBadGateway, http.StatusGatewayTimeout
	var (
		dns         *net.DNSError
		op          *net.OpError
		timeout     net.Error
		record      tls.RecordHeaderError
		certificate *tls.CertificateVerificationError
		authority   x509.UnknownAuthorityError
		hostname    x509.HostnameError
		invalid     x509.CertificateInvalidError
	)
	isTimeout := errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, os.ErrDeadlineExceeded)
	dialling := errors.As(err, &op) && op.Op == "dial"
	switch {
	case errors.As(err, &dns) && dns.IsTimeout:
		return gateway(slow, "dns_timeout", "the origin's name could not be looked up in time")
	case errors.As(err, &dns):
		f := gateway(bad, "dns_error", "the origin's name could not be looked up")
		if dns.IsNotFound {
			f.params = `; rcode="NXDOMAIN"`
		}
		return f
	case errors.Is(err, errno.ECONNREFUSED):
		return gateway(bad, "connection_refused", "the origin refused the connection")
	case errors.Is(err, errno.EHOSTUNREACH), errors.Is(err, errno.ENETUNREACH):
		return gateway(bad, "destination_ip_unroutable", "there is no way to the origin's address")
	case errors.As(err, &certificate), errors.As(err, &authority), errors.As(err, &hostname), errors.As(err, &invalid):
		return gateway(bad, "tls_certificate_error", "the origin's certificate is not to be trusted")
	case errors.As(err, &op) && op.Op == "remote error":
		return gateway(bad, "tls_alert_received", "the origin ended the TLS handshake")
	case errors.As(err, &record), has(err, "server gave HTTP response to HTTPS client"):
		return gateway(bad, "tls_protocol_error", "the origin does not speak TLS")
	case isTimeout && (dialling || has(err, "TLS handshake timeout")):
		return gateway(slow, "connection_timeout", "the origin took too long to connect to")
	case isTimeout, has(err, "http2: client connection lost"): // a ping was not answered
		return gateway(slow, "http_response_timeout", "the origin took too long to answer")
	case has(err, "response headers exceeded"), has(err, "response header list larger"):
		return gateway(bad, "http_response_header_section_size", "the origin's header is too long")
	case has(err, "unsupported transfer encoding"):
		return gateway(bad, "http_response_transfer_coding", "the origin's transfer coding is unknown")
	case has(err, "tls: "):
		return gateway(bad, "tls_protocol_error", "TLS with the origin failed")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return gateway(bad, "http_response_incomplete", "the origin's response broke off")
	case errors.Is(err, io.EOF), errors.Is(err, errno.ECONNRESET), errors.Is(err, errno.EPIPE), errors.Is(err, errno.ECONNABORTED),
		errors.Is(err, net.ErrClosed), has(err, "server closed idle connection"), has(err, "GOAWAY"):
		return gateway(bad, "connection_terminated", "the origin closed the connection")
	case dialling:
		return gateway(bad, "destination_unavailable", "the origin cannot be reached")
	case has(err, "malformed"), has(err, "http: "), has(err, "http2: "), has(err, "stream error"), has(err, "bad Content-Length"),
		has(err, "invalid header"):
		return gateway(bad, "http_protocol_error", "the origin does not speak HTTP as it should")
	}
	return gateway(http.StatusInternalServerError, "proxy_internal_error", "the cache failed")
}

// has recognises an error of net/http that has neither a value nor a type of its own.
func has(err error, text string) bool { return strings.Contains(err.Error(), text) }
