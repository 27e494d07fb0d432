package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	driver "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/redis/rueidis"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/dynamodb"
	"github.com/larder-go/larder/store/memory"
	"github.com/larder-go/larder/store/mongodb"
	"github.com/larder-go/larder/store/redis"
	"github.com/larder-go/larder/store/tiered"
)

// server is a database that larder can keep responses in, and what its driver does by itself.
type server struct {
	name   string // "Redis"
	env    string // the variable that says where it is
	read   string // what the bare driver does for a hit: "HGETALL"
	write  string // and to store a response: "HSET"
	pieces int    // bytes of body in a row
	open   func(url, space string) (*space, error)
}

// space is a part of a database of one's own.
type space struct {
	store store.Store
	// records reads the rows of a key, and piece one of a body, as bytes that nobody looks at.
	records func(ctx context.Context, digest string) (bytes int, err error)
	piece   func(ctx context.Context, digest, id string, number int) (bytes int, err error)
	// write stores one row under a name of its own.
	write func(ctx context.Context, name string, value []byte) error
	close func() error // and remove what is in it
}

var servers = []server{
	{"Redis", "REDIS_URL", "HGETALL", "HSET and EXPIRE", 256 << 10, openRedis},
	{"MongoDB", "MONGODB_URI", "find", "upsert", 1 << 20, openMongoDB},
	{"DynamoDB", "DYNAMODB_ENDPOINT", "Query", "PutItem", 256 << 10, openDynamoDB},
}

// parallel is how many pieces of a body are read at once, by larder and by the bare driver.
const parallel = 4

func (s server) space() (*space, error) {
	return s.open(os.Getenv(s.env), "compare"+rand.Text())
}

// cache is larder in front of it.
func (s server) cache() cache {
	return cache{"larder " + s.name, func(_ string, base http.RoundTripper) (http.RoundTripper, func() error, error) {
		x, err := s.space()
		if err != nil {
			return nil, nil, err
		}
		c := &larder.Cache{Store: x.store, Base: base, StoreTimeout: patience}
		return c, func() error { return errors.Join(c.Close(context.Background()), x.close()) }, nil
	}}
}

// patience is long: the servers that stand in for MongoDB and DynamoDB are slow with large bodies.
const patience = time.Minute

// bare stores a response of size bytes through larder and then reads what a hit needs without it.
func (s server) bare(size int, read func(x *space, digest, id string) error) (*job, error) {
	x, err := s.space()
	if err != nil {
		return nil, err
	}
	c := &larder.Cache{Store: x.store, Base: newOrigin(size, fresh), StoreTimeout: patience}
	resp, err := c.RoundTrip(request(0))
	if err == nil {
		err = readAll(resp.Body, make([]byte, bufferSize), size)
	}
	if err == nil {
		err = c.Close(context.Background())
	}
	if err != nil {
		return nil, errors.Join(err, x.close())
	}
	d := larder.Info(resp)
	sum := d.Key.Digest()
	digest, id := hex.EncodeToString(sum[:]), d.ID.String()
	return &job{
		worker: func() func(int) error { return func(int) error { return read(x, digest, id) } },
		close:  x.close,
	}, nil
}

// bareHit reads the rows of a key.
func (s server) bareHit(size int) (*job, error) {
	return s.bare(size, func(x *space, digest, _ string) error {
		n, err := x.records(context.Background(), digest)
		if err == nil && n < size {
			err = io.ErrUnexpectedEOF
		}
		return err
	})
}

// bareBody reads the pieces of a body, as many at once as larder does.
func (s server) bareBody(size int) (*job, error) {
	return s.bare(size, func(x *space, digest, id string) error {
		var all sync.WaitGroup
		numbers := make(chan int)
		errs := make([]error, parallel)
		for i := range parallel {
			all.Go(func() {
				for number := range numbers {
					n, err := x.piece(context.Background(), digest, id, number)
					if err == nil && n < min(s.pieces, size-number*s.pieces) {
						err = io.ErrUnexpectedEOF
					}
					errs[i] = cmp.Or(errs[i], err)
				}
			})
		}
		for number := range (size + s.pieces - 1) / s.pieces {
			numbers <- number
		}
		close(numbers)
		all.Wait()
		return cmp.Or(errs...)
	})
}

// bareWrite stores the bytes of a response in one row, under a new name each time.
func (s server) bareWrite(size int) (*job, error) {
	b, err := storedBytes(size)
	if err != nil {
		return nil, err
	}
	x, err := s.space()
	if err != nil {
		return nil, err
	}
	return &job{
		worker: func() func(int) error {
			return func(i int) error { return x.write(context.Background(), string(bareKey(i)), b) }
		},
		close: x.close,
	}, nil
}

func openRedis(url, name string) (*space, error) {
	s, err := redis.Open(context.Background(), url, &redis.Options{Prefix: name, MaxBody: -1})
	if err != nil {
		return nil, err
	}
	opts, err := rueidis.ParseURL(url)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	opts.DisableCache = true
	c, err := rueidis.NewClient(opts)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &space{
		store: s,
		records: func(ctx context.Context, digest string) (n int, err error) {
			rows, err := c.Do(ctx, c.B().Hgetall().Key(name+":r:{"+digest+"}").Build()).AsStrMap()
			for _, v := range rows {
				n += len(v)
			}
			return n, err
		},
		piece: func(ctx context.Context, digest, id string, number int) (int, error) {
			key := name + ":b:{" + digest + "}:" + id
			v, err := c.Do(ctx, c.B().Hget().Key(key).Field(fmt.Sprintf("%08d", number)).Build()).AsBytes()
			return len(v), err
		},
		write: func(ctx context.Context, field string, value []byte) error {
			key := name + ":bare:" + field
			for _, r := range c.DoMulti(ctx, c.B().Hset().Key(key).FieldValue().FieldValue("value", rueidis.BinaryString(value)).Build(),
				c.B().Expire().Key(key).Seconds(600).Build()) {
				if err := r.Error(); err != nil {
					return err
				}
			}
			return nil
		},
		close: func() error {
			defer c.Close()
			return errors.Join(empty(s), s.Close())
		},
	}, nil
}

func openMongoDB(uri, name string) (*space, error) {
	ctx := context.Background()
	c, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		return nil, err
	}
	db := c.Database(name)
	s, err := mongodb.New(db, nil)
	if err != nil {
		return nil, errors.Join(err, c.Disconnect(ctx))
	}
	return &space{
		store: s,
		records: func(ctx context.Context, digest string) (n int, err error) {
			group := bson.D{{Key: "$gte", Value: "r/" + digest + ":"}, {Key: "$lt", Value: "r/" + digest + ";"}}
			cursor, err := db.Collection("larder.records").Find(ctx, bson.D{{Key: "_id", Value: group}})
			if err != nil {
				return 0, err
			}
			var rows []bson.Raw
			err = cursor.All(ctx, &rows)
			for _, row := range rows {
				n += len(row)
			}
			return n, err
		},
		piece: func(ctx context.Context, digest, id string, number int) (int, error) {
			one := bson.D{{Key: "_id", Value: fmt.Sprintf("b/%s/%s:%08d", digest, id, number)}}
			row, err := db.Collection("larder.bodies").FindOne(ctx, one).Raw()
			return len(row), err
		},
		write: func(ctx context.Context, id string, value []byte) error {
			_, err := db.Collection("bare").UpdateOne(ctx, bson.D{{Key: "_id", Value: id}}, bson.D{{Key: "$set", Value: bson.D{{Key: "value", Value: value}}}},
				options.UpdateOne().SetUpsert(true))
			return err
		},
		close: func() error {
			return errors.Join(s.Close(), db.Drop(ctx), c.Disconnect(ctx))
		},
	}, nil
}

func openDynamoDB(endpoint, name string) (*space, error) {
	ctx := context.Background()
	s, err := dynamodb.Open(ctx, "dynamodb://"+name, &dynamodb.Options{Endpoint: endpoint, Create: true})
	if err != nil {
		return nil, err
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	c := driver.NewFromConfig(cfg, func(o *driver.Options) { o.BaseEndpoint = &endpoint })
	text := func(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
	value := func(item map[string]types.AttributeValue) int {
		b, _ := item["value"].(*types.AttributeValueMemberB)
		if b == nil {
			return 0
		}
		return len(b.Value)
	}
	return &space{
		store: s,
		records: func(ctx context.Context, digest string) (n int, err error) {
			out, err := c.Query(ctx, &driver.QueryInput{TableName: &name, KeyConditionExpression: new("pk = :group"),
				ExpressionAttributeValues: map[string]types.AttributeValue{":group": text("r/" + digest)}})
			if err != nil {
				return 0, err
			}
			for _, item := range out.Items {
				n += value(item)
			}
			return n, nil
		},
		piece: func(ctx context.Context, digest, id string, number int) (int, error) {
			out, err := c.GetItem(ctx, &driver.GetItemInput{TableName: &name,
				Key: map[string]types.AttributeValue{"pk": text("b/" + digest + "/" + id), "sk": text(fmt.Sprintf("%08d", number))}})
			if err != nil {
				return 0, err
			}
			return value(out.Item), nil
		},
		write: func(ctx context.Context, id string, value []byte) error {
			_, err := c.PutItem(ctx, &driver.PutItemInput{TableName: &name, Item: map[string]types.AttributeValue{
				"pk": text("bare/" + id), "sk": text("0"), "value": &types.AttributeValueMemberB{Value: value}}})
			return err
		},
		close: func() error {
			_, err := c.DeleteTable(ctx, &driver.DeleteTableInput{TableName: &name})
			return errors.Join(s.Close(), err)
		},
	}, nil
}

// empty removes all that is stored.
func empty(s store.Store) error {
	_, err := (&larder.Cache{Store: s}).Purge(context.Background(), store.Query{})
	return err
}

// databaseContests compare larder on a server with the driver that it uses. Time is what passes: most of the work is
// the server's. Those whose server is not there are left out, and named.
func databaseContests() []contest {
	var all []contest
	for _, s := range servers {
		if os.Getenv(s.env) == "" {
			fmt.Fprintf(os.Stderr, "not measured, for want of %s: %s\n", s.env, s.name)
			continue
		}
		hit := func(name string, size, workers int, limit float64, bare func(int) (*job, error)) contest {
			k := s.cache()
			return contest{name: name, kept: true, workers: workers, by: wall, entries: []*entry{
				{name: k.name, bare: "bare " + s.read, targets: []target{overBare(limit)}, open: func() (*job, error) { return k.hit(size, 1, byClient) }},
				{name: "bare " + s.read, open: func() (*job, error) { return bare(size) }},
			}}
		}
		all = append(all,
			hit("hit 1 KB, "+s.name, kb, 1, 1.25, s.bareHit),
			hit("hit 1 KB, "+s.name+", 64 at once", kb, 64, 1/0.8, s.bareHit),
			hit("hit 64 MB, "+s.name, 64*mb, 1, 1/0.7, s.bareBody),
			s.puts("store 1 KB, "+s.name, kb),
			s.validations("validate 1 KB, "+s.name, kb))
	}
	return append(all, tieredHits(), manyReaders())
}

// puts compare storing something new with writing the same bytes in one row.
func (s server) puts(name string, size int) contest {
	k := s.cache()
	return contest{name: name, by: wall, base: noCache.name, most: 256, entries: []*entry{
		{name: k.name, bare: "bare " + s.write, open: func() (*job, error) { return k.store(size) }},
		{name: "bare " + s.write, open: func() (*job, error) { return s.bareWrite(size) }},
		{name: noCache.name, open: func() (*job, error) { return noCache.store(size) }},
	}}
}

func (s server) validations(name string, size int) contest {
	k := s.cache()
	return contest{name: name, by: wall, most: 256, entries: []*entry{
		{name: k.name, open: func() (*job, error) { return k.validate(size, 1) }},
		{name: noCache.name, open: func() (*job, error) { return noCache.validate(size, 1) }},
	}}
}

// tieredHits compare a hit in a memory store with one in a memory store that has another behind it.
func tieredHits() contest {
	larderTiered := cache{"larder tiered", func(_ string, base http.RoundTripper) (http.RoundTripper, func() error, error) {
		s, err := tiered.New(new(memory.Store), new(memory.Store), nil)
		if err != nil {
			return nil, nil, err
		}
		return openLarder(s, base, nothing)
	}}
	return contest{name: "hit 1 KB, tiered", kept: true, entries: []*entry{
		{name: larderTiered.name, bare: larderMemory.name, targets: []target{overBare(1.3)}, open: func() (*job, error) { return larderTiered.hit(kb, 1, byClient) }},
		{name: larderMemory.name, open: func() (*job, error) { return larderMemory.hit(kb, 1, byClient) }},
	}}
}

// manyReaders compare eight readers of one download on its way into Redis with one: all of them are to have it in twice
// the time at most.
func manyReaders() contest {
	c := contest{name: "64 MB on their way into Redis", kept: true, by: wall}
	i := slices.IndexFunc(servers, func(s server) bool { return s.name == "Redis" })
	if os.Getenv(servers[i].env) == "" {
		return c
	}
	for _, readers := range []int{1, 8} {
		e := &entry{name: fmt.Sprintf("%d readers", readers), open: func() (*job, error) { return servers[i].cache().download(64*mb, readers) }}
		if readers > 1 {
			e.bare, e.targets = "1 readers", []target{overBare(2)}
		}
		c.entries = append(c.entries, e)
	}
	return c
}

// download lets readers ask for something new each time, all at once.
func (c cache) download(size, readers int) (*job, error) {
	o := newOrigin(size, fresh)
	x, err := c.start(o, o, byClient)
	if err != nil {
		return nil, err
	}
	j := &job{worker: func() func(int) error {
		return func(i int) error {
			var all sync.WaitGroup
			errs := make([]error, readers)
			for r := range readers {
				all.Go(func() { errs[r] = newGetter(x.do, size)(request(i)) })
			}
			all.Wait()
			return errors.Join(errs...)
		}
	}}
	j.close = func() error {
		var err error
		if asked := o.asked.Load(); asked != int64(j.done) {
			err = fmt.Errorf("the origin was asked %d times for %d downloads", asked, j.done)
		}
		return errors.Join(err, x.close())
	}
	return j, nil
}
