package view

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Statuses reads a list of statuses and classes, such as 404,5xx, and returns a function that reports whether it has a
// status; "" has all.
func Statuses(list string) (func(status int) bool, error) {
	if list == "" {
		return func(int) bool { return true }, nil
	}
	all := strings.Split(strings.ToLower(list), ",")
	for _, s := range all {
		_, err := strconv.Atoi(strings.TrimSuffix(s, "xx"))
		if err != nil || len(s) != 3 || s[0] < '1' || s[0] > '9' {
			return nil, fmt.Errorf("%q: want a status or a class, such as 404 or 4xx", s)
		}
	}
	return func(status int) bool {
		s := strconv.Itoa(status)
		return slices.Contains(all, s) || slices.Contains(all, s[:1]+"xx")
	}, nil
}
