package store

import "context"

// Inspect returns a context under which a Store does not remove what it finds damaged, in Lookup, Open, Find or Size,
// or while an opened body is read. It is for those who look for damage.
func Inspect(ctx context.Context) context.Context {
	return context.WithValue(ctx, inspection{}, true)
}

// Inspecting reports whether ctx comes from [Inspect]. It is for stores.
func Inspecting(ctx context.Context) bool { return ctx.Value(inspection{}) != nil }

type inspection struct{}
