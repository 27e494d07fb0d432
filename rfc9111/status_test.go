package rfc9111

import (
	"slices"
	"testing"
)

func TestStatuses(t *testing.T) {
	heuristic := []int{200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501}
	// RFC 9110 §15 without 1xx and the unused 306 and 418, and RFC 7725.
	known := []int{
		200, 201, 202, 203, 204, 205, 206, 300, 301, 302, 303, 304, 305, 307, 308,
		400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 426, 451,
		500, 501, 502, 503, 504, 505,
	}
	for status := range 1000 {
		if got := HeuristicallyCacheable(status); got != slices.Contains(heuristic, status) {
			t.Errorf("HeuristicallyCacheable(%d) = %v", status, got)
		}
		if got := understood(status); got != slices.Contains(known, status) {
			t.Errorf("understood(%d) = %v", status, got)
		}
		if forbidden(status) && (understood(status) || HeuristicallyCacheable(status)) {
			t.Errorf("%d is forbidden, and yet known", status)
		}
	}
}
