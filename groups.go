package larder

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/larder-go/larder/rfc9111"
	"github.com/larder-go/larder/store"
)

// groupTag begins the tags of the members of a cache group (RFC 9875). The origin, a slash and the group's name follow.
// No rule may use such a tag.
const groupTag = "cache-group:"

// How many groups of a response count, and how long their names may be; RFC 9875 §2 wants at least 32 of 32 characters.
const (
	maxGroups    = 128
	maxGroupName = 256
)

// groupTags returns the tags for groups of x's origin.
func (x *exchange) groupTags(names []string) []string {
	if len(names) == 0 {
		return nil
	}
	u := &url.URL{Scheme: x.req.URL.Scheme, Host: cmp.Or(x.req.Host, x.req.URL.Host)}
	origin := groupTag + strings.ToLower(u.Scheme) + "://" + normalHost(u) + "/"
	tags := make([]string, 0, min(len(names), maxGroups))
	for _, name := range names {
		if len(name) <= maxGroupName && len(tags) < maxGroups {
			tags = append(tags, origin+name)
		}
	}
	return tags
}

func isGroupTag(tag string) bool { return strings.HasPrefix(tag, groupTag) }

// withGroups returns tags with those of the groups that the stored header names, in place of other groups' tags.
func (x *exchange) withGroups(tags []string, stored http.Header) []string {
	had := slices.ContainsFunc(tags, isGroupTag)
	names := rfc9111.Groups(stored["Cache-Groups"])
	if !had && len(names) == 0 {
		return tags
	}
	return append(slices.DeleteFunc(slices.Clone(tags), isGroupTag), x.groupTags(names)...)
}

// appendGroups adds the tags of the groups that the records are in.
func appendGroups(tags []string, records []*store.Record) []string {
	for _, r := range records {
		for _, tag := range r.Tags {
			if isGroupTag(tag) && !slices.Contains(tags, tag) {
				tags = append(tags, tag)
			}
		}
	}
	return tags
}

// removeGroups removes every user's responses with one of these tags, since x has made the groups invalid. It leaves
// x's own flight alone.
func (c *Cache) removeGroups(x *exchange, tags []string, own *flight) {
	if len(tags) == 0 {
		return
	}
	c.flights.outdateGroups(string(appendBase(nil, x.req.URL, "/")), tags, own)
	queries := make([]store.Query, len(tags))
	for i, tag := range tags {
		queries[i].Tag = tag
	}
	c.removeMeant(x, queries...)
}
