package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/larder-go/larder/store"
)

// Each lease is a row, which one statement takes, renews or leaves as it is. One that ends too late was left by a
// process whose clock was ahead, and counts as ended.
const (
	leaseSQL = `INSERT INTO leases VALUES (?1, ?2, ?3) ON CONFLICT (key) DO UPDATE SET holder = ?2, until = ?3
		WHERE holder = ?2 OR until < ?4 OR until > ?5`
	releaseSQL = `DELETE FROM leases WHERE key = ? AND holder = ?`
	lapsedSQL  = `DELETE FROM leases WHERE until < ? OR until > ?`
)

// Lease is described at store.Leaser. It goes by the clock of this machine. A lease outlives a process that is killed.
func (s *Store) Lease(ctx context.Context, key store.Key, holder store.ID, ttl time.Duration) (held bool, err error) {
	digest, now := key.Digest(), time.Now()
	err = s.write(ctx, func(c *conn) error {
		latest := now.Add(max(ttl, store.LongLease))
		changed, err := c.exec(leaseSQL, digest[:], holder[:], now.Add(ttl).UnixMilli(), now.UnixMilli(), latest.UnixMilli())
		held = changed == 1
		return err
	})
	if err != nil {
		return false, fmt.Errorf("sqlite: lease: %w", err)
	}
	return held, nil
}

// Release is described at store.Leaser.
func (s *Store) Release(ctx context.Context, key store.Key, holder store.ID) error {
	digest := key.Digest()
	err := s.write(ctx, func(c *conn) error {
		_, err := c.exec(releaseSQL, digest[:], holder[:])
		return err
	})
	if err != nil {
		return fmt.Errorf("sqlite: release: %w", err)
	}
	return nil
}

// sweepLeases removes those that their holders neither renewed nor released, or that end too late.
func (s *Store) sweepLeases(ctx context.Context) error {
	return s.write(ctx, func(c *conn) error {
		now := time.Now()
		_, err := c.exec(lapsedSQL, now.UnixMilli(), now.Add(store.LongLease).UnixMilli())
		return err
	})
}
