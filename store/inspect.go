package store

import "context"

// Inspect returns a context for who wants to see what is damaged: under it a Store removes nothing in a Lookup, an Open, the reading of
// what that returns, a Find, or a Size that looks at heads.
func Inspect(ctx context.Context) context.Context {
	return context.WithValue(ctx, inspection{}, true)
}

// Inspecting reports whether ctx comes from [Inspect]. It is for stores.
func Inspecting(ctx context.Context) bool { return ctx.Value(inspection{}) != nil }

type inspection struct{}
