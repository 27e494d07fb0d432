// Package rfc9111 holds the rules of HTTP caching as pure functions: RFC 9111, the parts of RFC 9110 it rests
// on, stale responses by RFC 5861, immutable ones by RFC 8246 and targeted fields such as CDN-Cache-Control by RFC
// 9213. It does no I/O, reads no clock and starts nothing; whoever keeps the responses brings the time along and does
// what the answer says.
//
// The life of a response, and the function that has a say at each station:
//
//	a request comes      Policy.Reuse picks the stored response and says what to do: serve it, serve it and ask the
//	                     origin behind the caller's back, validate it, forward the request, or refuse
//	before it is served  NotModified and Ranges: may the caller's own conditions and ranges be answered from it?
//	the origin is asked  Conditions makes the header of the conditional request
//	it says 304          Freshens tells which stored responses that renews, Freshen makes their new header
//	it fails             Policy.StaleIfError, or without an answer StaleIfDisconnected: may the stored response stand in?
//	it answers anew      Policy.Storable and Digests, then Policy.StoredHeader and Selecting for what is kept
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
// A targeted field that a Policy honours stands in place of Cache-Control and Expires (RFC 9213 §2.2). It is a
// structured field: one that does not parse is ignored as a whole, of a directive that is repeated the last value
// counts, and a value of the wrong type says nothing, except that a lifetime which is no integer is 0.
//
// Without explicit freshness a response is fresh for a tenth of the time since Last-Modified, in whole seconds and at
// most a week (§4.2.2), never if its status needs explicit freshness and public is missing.
//
// A response with nothing to reuse it by is not stored: neither fresh on arrival, nor with a validator or a
// stale window. Of partial content single parts of a known whole are stored.
//
// A fresh immutable response is served to a request with max-age, which is what a reload sends, and validated
// for no-cache, which is what a forced reload sends (RFC 8246 §2).
//
// An ETag without its quotes, which some servers send, is weak: it is compared and sent back as it is, and joins or
// selects no parts. Where there is a Last-Modified, that validates in its place.
//
// Stale responses are served only inside a window that the response or the request names, and without one where the
// origin gives no answer at all (§4.2.4). A request that limits freshness itself (no-cache, max-age, min-fresh,
// max-stale) is not answered from the response's windows beyond that.
//
// Parts are put together by their strong validators alone (§3.4): Combinable says which, Missing what is lacking, and
// Completion how to ask for it.
//
// Requests select the same variant if their Accept, Accept-Charset, Accept-Encoding and Accept-Language mean the same
// (RFC 9110 §12.5): case, white space, repetitions, the spelling of weights and the order of members make no
// difference, except that of media types of equal weight, since servers do send the first of these. Other fields are
// compared as they are, but for white space around commas.
//
// Header fields are found under their canonical names, as net/http files them.
package rfc9111
