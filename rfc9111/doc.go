// Package rfc9111 holds the rules of HTTP caching as pure functions: RFC 9111, the parts of RFC 9110 it rests
// on, stale responses by RFC 5861 and immutable ones by RFC 8246. It does no I/O, reads no clock and starts
// nothing; whoever keeps the responses brings the time along and does what the answer says.
//
// The life of a response, and the function that has a say at each station:
//
//	a request comes      Policy.Reuse picks the stored response and says what to do: serve it, serve it and ask the
//	                     origin behind the caller's back, validate it, forward the request, or refuse
//	before it is served  NotModified and Ranges: may the caller's own conditions and ranges be answered from it?
//	the origin is asked  Conditions makes the header of the conditional request
//	it says 304          Freshens tells which stored responses that renews, Freshen makes their new header
//	it fails             Policy.StaleIfError, or without an answer StaleIfDisconnected: may the stored response stand in?
//	it answers anew      Policy.Storable, then Policy.StoredHeader and Selecting for what is kept
//	a HEAD was answered  ByHead tells what that means for a stored GET
//	it is found again    Variation says which queries of a URL a response answers, beside its own
//	an unsafe method     Invalidates lists the URLs whose responses are to go; AsGet tells whether the response takes the place
//	                     of what a GET would bring; InvalidatedGroups lists the cache groups that are to go, Groups those that a
//	                     response is in
//
// Each decision comes with a [Reason], which knows a sentence and the section of the standard.
//
// A [Policy] is that of a private cache unless it says Shared. A [Response] is made by [Parse], which reads
// its dates and directives once; deciding on the common hit then allocates nothing.
//
// # Where the standard leaves a choice
//
// Of a directive that is repeated the first value counts (§4.2.1); of no-cache and private with field names and
// without, the latter. A lifetime that is no number, or negative, is 0; one above 2^31 seconds is 2^31 seconds
// (§1.2.2).
//
// Without explicit freshness a response is fresh for a tenth of the time since Last-Modified, in whole seconds and at most a week
// (§4.2.2), never if its status needs explicit freshness and public is missing.
//
// A response with nothing to reuse it by is not stored: neither fresh on arrival, nor with a validator or a
// stale window. Of partial content single parts of a known whole are stored.
//
// A fresh immutable response is served to a request with max-age, which is what a reload sends, and validated
// for no-cache, which is what a forced reload sends (RFC 8246 §2).
//
// Stale responses are served only inside a window that the response or the request names. A request that
// limits freshness itself (no-cache, max-age, min-fresh, max-stale) is not answered from the response's
// windows beyond that.
//
// Header fields are found under their canonical names, as net/http files them.
package rfc9111
