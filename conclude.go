package larder

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"

	"github.com/larder-go/larder/rfc9111"
	"github.com/larder-go/larder/store"
)

// conclude makes the response to x from the flight's result. It returns nil if the result is of no use for x.
func (c *Cache) conclude(x *exchange, f *flight, leads bool) (*http.Response, error) {
	d := Decision{Outcome: Miss, Reason: x.verdict.Reason.String(), Section: x.verdict.Reason.Section(),
		Forwarded: forwarded(x), ForwardStatus: f.status, Collapsed: !leads, NotShared: x.alone}
	switch {
	case f.err != nil && !leads && !f.failedFor(x): // x asks by itself
	case (f.err != nil || originFailed(f.status)) && c.staleAllowed(x, f.err):
		if resp := c.standIn(x, f, d); resp != nil {
			return resp, nil
		}
		if f.err != nil {
			return nil, f.err
		}
	case f.err != nil:
		return nil, f.err
	case f.again, !leads && f.outdatedAlike(f.answer()):
		return nil, nil
	case f.record != nil:
		if !leads && !rfc9111.Selects(f.record.Selecting, x.header) {
			return nil, nil
		}
		if !leads && (f.own || !c.mayShare(x, f.record)) {
			break
		}
		d.Outcome = Revalidated
		resp := c.serve(x, f.record, c.now(), d)
		x.unusable = resp == nil
		if resp != nil && leads {
			maps.Copy(resp.Header, c.policy().Withheld(f.record.Header, f.said))
		}
		return resp, nil
	case f.download != nil:
		if !leads && !rfc9111.Selects(f.download.record.Selecting, x.header) {
			for name := range f.download.record.Selecting {
				x.vary = append(x.vary, name)
			}
			return nil, nil
		}
		if !leads && !c.mayShare(x, f.download.record) {
			break
		}
		return c.join(x, f.download, d, leads), nil
	}
	if !leads {
		x.alone = true
		return nil, nil
	}
	if resp := f.take(); resp != nil {
		d.NotStored = f.notStored
		resp.Body = solo(x.req.Context(), resp.Body, f.cancel)
		return c.answer(x, resp, d), nil
	}
	return nil, nil
}

// failedFor reports whether f's error is x's as well: it is the network's, or x asks in the same words. Otherwise the
// leader's request may be to blame.
func (f *flight) failedFor(x *exchange) bool {
	return ofNetwork(f.err) || x.content == "" && maps.EqualFunc(f.led.header, x.header, slices.Equal)
}

// ofNetwork reports whether err says that the origin could not be reached or trusted, did not answer in time, or closed
// the connection without an answer.
func ofNetwork(err error) bool {
	var client *url.Error // of a Base that uses an http.Client; it is a net.Error whatever it wraps
	if errors.As(err, &client) {
		err = client.Err
	}
	var network net.Error
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	return errors.As(err, &network) || errors.As(err, &certificate) || errors.As(err, &record) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// standIn returns the stale response in place of the failed origin's; nil if its body is gone.
func (c *Cache) standIn(x *exchange, f *flight, d Decision) *http.Response {
	d.Outcome, d.Err = Stale, f.err
	d.Reason, d.Section = "stale, since the origin failed", "RFC 5861 §4"
	if f.err != nil {
		d.Reason, d.Section = "stale, since the origin gave no answer", "RFC 9111 §4.2.4"
	}
	return c.serve(x, x.records[x.verdict.Index], c.now(), d)
}

// mayShare reports whether a request that waited for another's answer may get it. In a shared cache the answer must be
// reusable without validation (RFC 9111 §4), since nothing else keeps users apart.
func (c *Cache) mayShare(x *exchange, r *store.Record) bool {
	if !c.Shared {
		return true
	}
	switch c.policy().Reuse(&x.rr, c.asWhole(r), r.Received).Action {
	case rfc9111.Serve, rfc9111.ServeAndRefresh:
		return true
	}
	return false
}

// forwarded says why the origin was asked, as RFC 9211 §2.2 has it.
func forwarded(x *exchange) string {
	v := &x.verdict
	switch {
	case x.incomplete != nil && v.Index < 0 && x.ask.mode != ForceRefresh:
		return "partial"
	case len(x.found) == 0:
		return "uri-miss"
	case x.ask.mode == ForceRefresh:
		return "request"
	case v.Index < 0 && v.Reason == rfc9111.NoVariant:
		return "vary-miss"
	case v.Index < 0:
		return "miss"
	case v.Age >= v.Lifetime:
		return "stale"
	}
	switch v.Reason {
	case rfc9111.RequestNoCache, rfc9111.RequestMaxAge, rfc9111.RequestMinFresh:
		return "request"
	}
	if x.records[v.Index].Status == http.StatusPartialContent {
		return "partial"
	}
	return "stale" // as if it were, since it must be validated each time
}

// soloBody is a body that one caller reads and that is not stored. The fetch ends with it.
type soloBody struct {
	io.ReadCloser
	ctx    context.Context // the caller's
	stop   func() bool
	cancel context.CancelFunc
}

func solo(ctx context.Context, body io.ReadCloser, cancel context.CancelFunc) io.ReadCloser {
	if body == http.NoBody { // callers need not close it
		cancel()
		return body
	}
	return &soloBody{body, ctx, context.AfterFunc(ctx, cancel), cancel}
}

func (b *soloBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil {
		return n, nil
	}
	if err != io.EOF && b.ctx.Err() != nil {
		err = b.ctx.Err() // rather than the error of the cancelled fetch
	}
	b.end() // not every caller closes a body after its end
	return n, err
}

func (b *soloBody) Close() error {
	err := b.ReadCloser.Close()
	b.end()
	return err
}

func (b *soloBody) end() {
	b.stop()
	b.cancel()
}
