package recipes

import (
	"log/slog"

	"github.com/larder-go/larder"
)

// watched returns a cache that logs trouble, and counts how many bytes did not have to be fetched.
func watched(logger *slog.Logger, saved func(bytes int64)) *larder.Cache {
	return &larder.Cache{
		Logger: logger,
		Observe: func(e larder.Event) {
			if e.Kind == larder.Answered && e.Decision.Outcome == larder.Hit {
				saved(max(0, e.Size))
			}
		},
	}
}
