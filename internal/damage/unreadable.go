package damage

import (
	"context"
	"io"

	"github.com/larder-go/larder/store"
)

// Unreadable is a store whose bodies cannot be read, though nothing is wrong with them: Read fails with
// io.ErrClosedPipe.
type Unreadable struct{ store.Store }

func (s Unreadable) Open(ctx context.Context, r *store.Record) (io.ReadSeekCloser, error) {
	b, err := s.Store.Open(ctx, r)
	return unreadable{b}, err
}

type unreadable struct{ io.ReadSeekCloser }

func (unreadable) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }
