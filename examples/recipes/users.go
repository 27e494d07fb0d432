package recipes

import (
	"context"
	"net/http"

	"github.com/larder-go/larder"
)

type userKey struct{}

// withUser returns a context whose requests are made for a user.
func withUser(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, userKey{}, id)
}

// byUser keeps users apart by who they are rather than by their tokens, which change: larder's default would begin anew
// with each token. Requests for nobody share what they get.
func byUser(req *http.Request) string {
	id, _ := req.Context().Value(userKey{}).(string)
	return id
}

// forUsers returns a cache for an API that answers each user differently.
func forUsers() *larder.Cache {
	return &larder.Cache{Partition: byUser, Rules: []larder.Rule{{Ignore: larder.Ignore{Header: []string{"Authorization"}}}}}
}
