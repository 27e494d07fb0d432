package store

import "context"

// Inspect returns a context for those who want to see what is damaged. Under it a Store does not remove what it finds
// damaged, be it in Lookup, Open, Find or Size, or while an opened body is read.
func Inspect(ctx context.Context) context.Context {
	return context.WithValue(ctx, inspection{}, true)
}

// Inspecting reports whether ctx comes from [Inspect]. It is for stores.
func Inspecting(ctx context.Context) bool { return ctx.Value(inspection{}) != nil }

type inspection struct{}
