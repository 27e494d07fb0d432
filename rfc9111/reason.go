package rfc9111

// Reason says why a decision was made. The zero Reason says nothing.
type Reason uint8

// Reasons of Reuse.
const (
	_ Reason = iota

	Fresh
	FreshByHeuristic
	FreshByRule
	FreshForever
	MaxStale
	StaleWhileRevalidate
	TakenStale

	NothingStored
	MethodDiffers
	NoVariant
	InPart
	Stale
	MustRevalidate
	ResponseNoCache
	RequestNoCache
	RequestMaxAge
	RequestMinFresh
	OnlyIfCached
)

// Reasons of Storable. ResponseNoStore, StatusNotUnderstood and PrivateResponse are of Reuse, too.
const (
	Allowed Reason = OnlyIfCached + 1 + iota
	AllowedByRule

	RequestNoStore
	ResponseNoStore
	PrivateResponse
	Authorized
	SetsCookie
	VaryStar
	MethodNotStored
	InterimStatus
	PartialContent
	ConditionalStatus
	ForbiddenStatus
	StatusNotUnderstood
	NoFreshness
	NothingToReuseBy
)

var reasons = [...]struct{ text, section string }{
	Fresh:                {"fresh", "RFC 9111 §4.2"},
	FreshByHeuristic:     {"fresh by its Last-Modified", "RFC 9111 §4.2.2"},
	FreshByRule:          {"fresh for as long as the cache's user says", "RFC 9111 §4.2"},
	FreshForever:         {"fresh forever, as the cache's user says", "RFC 9111 §4.2"},
	MaxStale:             {"stale, which the request's max-stale allows", "RFC 9111 §5.2.1.2"},
	StaleWhileRevalidate: {"stale, inside its stale-while-revalidate window", "RFC 5861 §3"},
	TakenStale:           {"taken without validation, as the caller wishes", "RFC 9111 §4.2.4"},

	NothingStored:   {"nothing is stored", "RFC 9111 §4"},
	MethodDiffers:   {"stored for another method", "RFC 9111 §4"},
	NoVariant:       {"stored for other values of the fields in Vary", "RFC 9111 §4.1"},
	InPart:          {"only a part of it is stored", "RFC 9111 §3.4"},
	Stale:           {"stale", "RFC 9111 §4.2.4"},
	MustRevalidate:  {"stale, and the response must not be used then", "RFC 9111 §5.2.2.2"},
	ResponseNoCache: {"the response says no-cache", "RFC 9111 §5.2.2.4"},
	RequestNoCache:  {"the request wants validation", "RFC 9111 §5.2.1.4"},
	RequestMaxAge:   {"older than the request's max-age", "RFC 9111 §5.2.1.1"},
	RequestMinFresh: {"not fresh for as long as the request's min-fresh", "RFC 9111 §5.2.1.3"},
	OnlyIfCached:    {"only a stored response is wanted, and none can be used", "RFC 9111 §5.2.1.7"},

	Allowed:       {"may be stored", "RFC 9111 §3"},
	AllowedByRule: {"stored because the cache's user says so", "RFC 9111 §3"},

	RequestNoStore:      {"the request says no-store", "RFC 9111 §5.2.1.5"},
	ResponseNoStore:     {"the response says no-store", "RFC 9111 §5.2.2.5"},
	PrivateResponse:     {"the response is private and the cache shared", "RFC 9111 §5.2.2.7"},
	Authorized:          {"the request has Authorization and the cache is shared", "RFC 9111 §3.5"},
	SetsCookie:          {"the response sets a cookie, does not say that others may have it, and the cache is shared", "RFC 9111 §7.3"},
	VaryStar:            {"Vary matches no later request: it is *, or too long", "RFC 9111 §4.1"},
	MethodNotStored:     {"responses to this method are not stored", "RFC 9111 §3"},
	InterimStatus:       {"not a final response", "RFC 9111 §3"},
	PartialContent:      {"partial content of which is not known what part it is", "RFC 9111 §3.3"},
	ConditionalStatus:   {"the status answers this request's conditions alone", "RFC 9110 §13"},
	ForbiddenStatus:     {"responses with this status must not be stored", "RFC 6585"},
	StatusNotUnderstood: {"must-understand, and the status is not understood", "RFC 9111 §5.2.2.3"},
	NoFreshness:         {"no explicit freshness, and the status needs it", "RFC 9111 §3"},
	NothingToReuseBy:    {"neither fresh nor with a validator or a stale window", "RFC 9111 §4"},
}

// String returns the reason as a short sentence without a capital or a full stop; "" for the zero Reason.
func (r Reason) String() string {
	if int(r) >= len(reasons) {
		return ""
	}
	return reasons[r].text
}

// Section returns the section that says so, such as "RFC 9111 §4.2"; "" for the zero Reason.
func (r Reason) Section() string {
	if int(r) >= len(reasons) {
		return ""
	}
	return reasons[r].section
}
