// Package rfc9111 holds the rules of HTTP caching as pure functions: RFC 9111, the parts of RFC 9110 that it rests on,
// stale responses by RFC 5861, immutable ones by RFC 8246, and targeted fields such as CDN-Cache-Control by RFC 9213.
// It does no I/O, reads no clock and starts no goroutine: the caller passes the time, and acts on the answers.
//
// The life of a response, and the functions for each stage:
//
//	a request comes      Policy.Reuse selects the stored response and says what to do: serve it, serve it and ask the
//	                     origin in the background, validate it, forward the request, or refuse
//	before it is served  NotModified and Ranges: may the caller's own conditions and ranges be answered from it?
//	the origin is asked  Conditions makes the header of the conditional request
//	it says 304          Freshens says which stored responses that renews, Freshen makes their new header
//	it fails             Policy.StaleIfError, or without an answer StaleIfDisconnected: may the stored response stand in?
//	it answers anew      Policy.Storable and Digests, then Policy.StoredHeader and Selecting for what is kept
//	a HEAD was answered  ByHead says what that means for a stored GET
//	it is found again    Variation says which queries of a URL a response answers, besides its own
//	an unsafe method     Invalidates lists the URLs whose responses must go; AsGet says whether the response is what a GET
//	                     would bring; InvalidatedGroups lists the cache groups that must go, Groups those that a
//	                     response is in
//
// Each decision comes with a [Reason], which has a sentence and the section of the standard.
//
// A [Policy] is that of a private cache unless Shared is set. [Parse] makes a [Response], and reads its dates and
// directives once; the decision on a usual hit then allocates nothing.
//
// # Where the standard leaves a choice
//
// If a directive is repeated, the first value counts (§4.2.1); if no-cache or private come with field names and
// without, those without count. A lifetime that is not a number, or negative, is 0; one above 2^31 seconds is 2^31
// seconds (§1.2.2).
//
// A targeted field that a Policy honours replaces Cache-Control and Expires (RFC 9213 §2.2). It is a structured field:
// one that does not parse is ignored as a whole; if a directive is repeated, the last value counts; and a value of the
// wrong type says nothing, except that a lifetime that is not an integer is 0.
//
// Without explicit freshness a response is fresh for a tenth of the time since Last-Modified, in whole seconds and at
// most a week (§4.2.2), never if its status needs explicit freshness and public is missing.
//
// A response that could never be reused is not stored: one that is not fresh on arrival, and has neither a validator
// nor a stale window. Of partial content, single parts of a known whole are stored.
//
// A fresh immutable response is served to a request with max-age, which is what a reload sends, and validated
// for no-cache, which is what a forced reload sends (RFC 8246 §2).
//
// An ETag without its quotes, which some servers send, is weak: it is compared and sent back as it is, and neither
// joins nor selects parts. If there is a Last-Modified, that validates instead.
//
// Stale responses are served only inside a window that the response or the request names, or without one if the origin
// gives no answer at all (§4.2.4). A request that limits freshness itself (no-cache, max-age, min-fresh, max-stale) is
// not answered from the response's windows beyond that.
//
// Parts are put together only by their strong validators (§3.4): Combinable says which, Missing what is missing, and
// Completion how to ask for it.
//
// Requests select the same variant if their Accept, Accept-Charset, Accept-Encoding and Accept-Language mean the same
// (RFC 9110 §12.5): case, white space, repetitions, the spelling of weights and the order of members make no
// difference, except that of media types of equal weight, since servers do send the first of these. Other fields are
// compared as they are, except for white space around commas.
//
// Header fields are found under their canonical names, as net/http files them.
package rfc9111
