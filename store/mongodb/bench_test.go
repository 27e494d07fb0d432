package mongodb

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/storetest"
)

func BenchmarkStore(b *testing.B) {
	storetest.Benchmark(b, storetest.Kit{Open: databasesOf(b).open})
}

// stored returns a store with one record of a body of so many bytes.
func stored(b *testing.B, size int) (*Store, *mongo.Database, *store.Record) {
	db := database(b)
	s, err := New(db, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	r := &store.Record{Key: "https://example.com/", ID: store.ID{1}, Size: int64(size)}
	r.URL, r.Status = "https://example.com/", 200
	w, err := s.Create(b.Context(), r)
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	if _, err := io.Copy(w, bytes.NewReader(make([]byte, size))); err != nil {
		b.Fatal(err)
	}
	if err := w.Commit(r); err != nil {
		b.Fatal(err)
	}
	return s, db, r
}

// hit reads all of a record.
func hit(ctx context.Context, s *Store, key store.Key) error {
	found, err := s.Lookup(ctx, key)
	if err != nil || len(found) != 1 {
		return fmt.Errorf("%d found, %v", len(found), err)
	}
	if found[0].Body != nil {
		return nil
	}
	body, err := s.Open(ctx, found[0])
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.Copy(io.Discard, body)
	return err
}

// bareFind is the find that a hit on a small response is.
func bareFind(ctx context.Context, c *mongo.Collection, r *store.Record) error {
	cursor, err := c.Find(ctx, filter("r/"+digest(r.Key), nil))
	if err != nil {
		return err
	}
	var docs []bson.Raw
	if err := cursor.All(ctx, &docs); err != nil || len(docs) != 1 {
		return fmt.Errorf("%d found, %v", len(docs), err)
	}
	return nil
}

func BenchmarkHit1KB(b *testing.B) {
	s, db, r := stored(b, 1<<10)
	records := db.Collection("larder.records")
	id := bson.D{{Key: "_id", Value: fmt.Sprintf("r/%s:%s", digest(r.Key), r.ID)}}
	for name, do := range map[string]func(context.Context) error{
		"larder":    func(ctx context.Context) error { return hit(ctx, s, r.Key) },
		"bare":      func(ctx context.Context) error { return bareFind(ctx, records, r) },
		"bare-byID": func(ctx context.Context) error { return records.FindOne(ctx, id).Err() },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := do(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"-64goroutines", func(b *testing.B) {
			b.SetParallelism(64)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := do(b.Context()); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

func BenchmarkHit64MB(b *testing.B) {
	const size = 64 << 20
	s, db, r := stored(b, size)
	bodies := db.Collection("larder.bodies")
	piece := func(ctx context.Context, n int) error {
		id := fmt.Sprintf("b/%s/%s:%08d", digest(r.Key), r.ID, n)
		return bodies.FindOne(ctx, bson.D{{Key: "_id", Value: id}}).Err()
	}
	b.Run("larder", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			if err := hit(b.Context(), s, r.Key); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("bare", func(b *testing.B) { // the same pieces, as many at once
		b.SetBytes(size)
		for b.Loop() {
			next := make(chan int)
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() {
					for n := range next {
						if err := piece(b.Context(), n); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for n := range size / defaultChunk {
				next <- n
			}
			close(next)
			all.Wait()
		}
	})
}
