package larder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/larder-go/larder/rfc9111"
	"github.com/larder-go/larder/store"
)

// resume continues, from the origin, a body that the store failed to deliver to its end, if a strong validator shows
// that the origin still has the same representation. b.rc then has the rest; otherwise resume returns fault, with the
// reason. b.mu is held, but not while the origin is asked, so that Close can cancel that.
func (b *storedBody) resume(fault error) error {
	if b.resumed || b.left.Length == 0 || b.x.req.Context().Err() != nil {
		return fault
	}
	b.resumed = true
	ctx, cancel := context.WithCancel(b.x.req.Context())
	b.giveUp.Store(&cancel)
	b.mu.Unlock()
	rc, err := b.c.rest(ctx, cancel, b.x, b.r, b.left)
	b.mu.Lock()
	switch {
	case b.end != nil: // it was closed meanwhile
		cancel()
		if err == nil {
			rc.Close()
		}
		return b.end
	case err != nil:
		cancel()
		return fmt.Errorf("%w; nor does the origin give the rest: %w", fault, err)
	}
	b.rc.Close()
	b.rc = rc
	return nil
}

// endRest cancels the request for the rest.
func (b *storedBody) endRest() {
	if cancel := b.giveUp.Load(); cancel != nil {
		(*cancel)()
	}
}

// rest asks the origin for a part of the representation of r. The body that it returns has exactly those bytes; each
// Read is bounded by RefreshTimeout, and Close cancels ctx.
func (c *Cache) rest(ctx context.Context, cancel context.CancelFunc, x *exchange, r *store.Record, part rfc9111.Part) (io.ReadCloser, error) {
	stored := &c.readingOf(r).parsed
	conditions := rfc9111.Completion(stored, part, r.Size)
	switch {
	case x.rr.Method != http.MethodGet || x.req.ContentLength != 0 || r.Status != http.StatusOK || r.Uncompressed || len(conditions) == 0:
		return nil, errors.New("it would not be known to be of the same representation")
	case c.FailClosed || c.onlyStored(x):
		return nil, errors.New("it is not to be asked")
	}
	late := time.AfterFunc(c.refreshTimeout(), cancel)
	resp, _, err := c.ask(ctx, &exchange{send: x.req}, nil, conditions)
	late.Stop()
	if err != nil {
		return nil, err
	}
	body := &restBody{exactly{resp.Body, part.Length}, resp.Body, cancel, c.refreshTimeout()}
	said := rfc9111.Parse(rfc9111.Response{Method: http.MethodGet, Status: resp.StatusCode, Header: resp.Header, Received: c.now()})
	brought, size := said.Part()
	switch same := rfc9111.Combinable(stored, said); {
	case same && brought == part && size == r.Size:
		return body, nil
	case same && resp.StatusCode == http.StatusOK && resp.ContentLength == r.Size: // the origin does not serve ranges
		late.Reset(c.refreshTimeout())
		_, err = io.CopyN(io.Discard, resp.Body, part.Start)
		late.Stop()
		if err == nil {
			return body, nil
		}
	default:
		err = fmt.Errorf("%s, of another representation", resp.Status)
	}
	body.Close()
	return nil, err
}

// restBody is a body that must not stall: its caller expects it to come from the store.
type restBody struct {
	exactly
	body    io.Closer
	cancel  context.CancelFunc // of its request
	timeout time.Duration
}

func (r *restBody) Read(p []byte) (int, error) {
	late := time.AfterFunc(r.timeout, r.cancel)
	defer late.Stop()
	return r.exactly.Read(p)
}

func (r *restBody) Close() error {
	defer r.cancel()
	return r.body.Close()
}
