//go:build unix

package dynamodb

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	driver "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/storetest"
)

// Each benchmark has a floor, "bare": the same items read by the bare client from the same table. What counts is the
// ratio.

func BenchmarkContract(b *testing.B) {
	ts := tables{t: b}
	o := Options{Endpoint: endpoint(b), Create: true}
	storetest.Benchmark(b, storetest.Kit{Open: func(dir string) (store.Store, error) { return Open(ctx, "dynamodb://"+ts.at(dir), &o) }})
}

// stored stores a record with a body of size bytes.
func stored(b *testing.B, s *Store, key string, size int) *store.Record {
	b.Helper()
	r := record(key)
	r.Size = int64(size)
	w, err := s.Create(ctx, r)
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	body := make([]byte, 1<<20)
	for i := range body {
		body[i] = byte(i * i >> 3)
	}
	for left := size; left > 0; left -= len(body) {
		if _, err := w.Write(body[:min(left, len(body))]); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Commit(r); err != nil {
		b.Fatal(err)
	}
	return r
}

// bareQuery returns the bytes of the values in a group.
func (t *table) bareQuery(group string) (n int, err error) {
	out, err := t.client.Query(ctx, &driver.QueryInput{
		TableName: &t.name, KeyConditionExpression: new("pk = :group"), ExpressionAttributeValues: item{":group": text(group)},
	})
	if err != nil {
		return 0, err
	}
	for _, it := range out.Items {
		n += len(it["value"].(*types.AttributeValueMemberB).Value)
	}
	return n, nil
}

// pair runs bare and ours by turns, so that what else the machine does meets both, and reports the medians: bare-ms,
// and how many times as long ours takes, by the clock and by the processor's time that this process used.
func pair(b *testing.B, bare, ours func() error) {
	b.Helper()
	var clock, cpu [2][]time.Duration
	for b.Loop() {
		for i, do := range []func() error{bare, ours} {
			begun, used := time.Now(), processor()
			if err := do(); err != nil {
				b.Fatal(err)
			}
			clock[i], cpu[i] = append(clock[i], time.Since(begun)), append(cpu[i], processor()-used)
		}
	}
	median := func(d []time.Duration) float64 {
		slices.Sort(d)
		return float64(d[len(d)/2])
	}
	floor := median(clock[0])
	b.ReportMetric(floor/1e6, "bare-ms")
	b.ReportMetric(median(clock[1])/floor, "x-bare")
	b.ReportMetric(median(cpu[1])/median(cpu[0]), "x-bare-cpu")
}

func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkHit1KB(b *testing.B) {
	s := open(b, nil)
	r := stored(b, s, "key", 1<<10)
	bare := func() error {
		if n, err := s.table.bareQuery("r/" + digest(r)); n < 1<<10 || err != nil {
			return fmt.Errorf("%d bytes, %w", n, err)
		}
		return nil
	}
	ours := func() error {
		found, err := s.Lookup(ctx, r.Key)
		if err != nil || len(found) != 1 || len(found[0].Body) != 1<<10 {
			return fmt.Errorf("%d found, %w", len(found), err)
		}
		return nil
	}
	b.Run("alone", func(b *testing.B) { pair(b, bare, ours) })
	b.Run("64-goroutines", func(b *testing.B) { pair(b, by64(bare), by64(ours)) })
}

// by64 does something 1024 times in 64 goroutines.
func by64(do func() error) func() error {
	return func() error {
		var all errgroup
		for range 64 {
			all.Go(func() error {
				for range 16 {
					if err := do(); err != nil {
						return err
					}
				}
				return nil
			})
		}
		return all.Wait()
	}
}

func BenchmarkHit64MB(b *testing.B) {
	const size, chunk, parallel = 64 << 20, 256 << 10, 4 // as are the defaults
	s := open(b, nil)
	r := stored(b, s, "key", size)
	group := "b/" + digest(r) + "/" + r.ID.String()
	bare := func() error {
		var all errgroup
		for first := range parallel {
			all.Go(func() error {
				for i := first; i < size/chunk; i += parallel {
					out, err := s.table.client.GetItem(ctx, &driver.GetItemInput{TableName: &s.table.name, Key: item{"pk": text(group), "sk": text(fmt.Sprintf("%08d", i))}})
					if err != nil || len(out.Item["value"].(*types.AttributeValueMemberB).Value) < chunk {
						return fmt.Errorf("chunk %d: %w", i, err)
					}
				}
				return nil
			})
		}
		return all.Wait()
	}
	ours := func() error {
		found, err := s.Lookup(ctx, r.Key)
		if err != nil || len(found) != 1 {
			return fmt.Errorf("%d found, %w", len(found), err)
		}
		body, err := s.Open(ctx, found[0])
		if err != nil {
			return err
		}
		defer body.Close()
		if n, err := io.Copy(io.Discard, body); n != size || err != nil {
			return fmt.Errorf("%d bytes, %w", n, err)
		}
		return nil
	}
	b.SetBytes(2 * size)
	pair(b, bare, ours)
}

// errgroup waits for goroutines and keeps the first error.
type errgroup struct {
	sync.WaitGroup
	once sync.Once
	err  error
}

func (g *errgroup) Go(do func() error) {
	g.WaitGroup.Go(func() {
		if err := do(); err != nil {
			g.once.Do(func() { g.err = err })
		}
	})
}

func (g *errgroup) Wait() error {
	g.WaitGroup.Wait()
	return g.err
}
