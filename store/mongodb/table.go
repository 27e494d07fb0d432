package mongodb

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/chunked"
)

// table keeps rows as documents.
type table struct {
	collections map[byte]*collection // by the first byte of a group
	name        string               // of the database, for errors
	dialer      *dialer              // nil: the client is not ours
}

// collection keeps the rows of one kind of group.
type collection struct {
	*mongo.Collection
	indexed atomic.Bool // the TTL index is there, or was refused
}

// document is a row as it is stored.
type document struct {
	ID      string    `bson:"_id"` // group:item
	Value   []byte    `bson:"value,omitempty"`
	Expires time.Time `bson:"expires,omitempty"`
}

// Neither groups nor items have a colon, so that the ids of a group are those from group: up to group;
const (
	separator = ":"
	beyond    = ";"
	last      = "~" // greater than all that a name is made of
)

func newTable(db *mongo.Database, name string, dialer *dialer) *table {
	t := &table{collections: make(map[byte]*collection), name: name, dialer: dialer}
	// What the client's options say of encoding is for the user's own documents.
	plain := options.Collection().SetRegistry(bson.NewRegistry()).SetBSONOptions(new(options.BSONOptions))
	for kind, name := range map[byte]string{'r': "larder.records", 'b': "larder.bodies", 'i': "larder.index", 'l': "larder.leases"} {
		t.collections[kind] = &collection{Collection: db.Collection(name, plain)}
	}
	return t
}

func (t *table) Put(ctx context.Context, r chunked.Row, when chunked.When) error {
	c := t.collections[r.Group[0]]
	if err := t.prepare(ctx, c); err != nil {
		return t.fault("index "+c.Name(), err)
	}
	doc := document{ID: r.Group + separator + r.Item, Value: r.Value, Expires: r.Expires}
	filter := bson.D{{Key: "_id", Value: doc.ID}}
	if when == chunked.IfAbsent { // a row that is there and not past its end is not found, and then its id is taken
		filter = append(filter, bson.E{Key: "expires", Value: bson.D{{Key: "$lt", Value: time.Now()}}})
	}
	result, err := c.ReplaceOne(ctx, filter, doc, options.Replace().SetUpsert(when != chunked.IfPresent))
	switch {
	case when == chunked.IfAbsent && mongo.IsDuplicateKeyError(err):
		err = chunked.ErrPresent
	case err != nil:
	case !result.Acknowledged:
		err = errUnacknowledged
	case when == chunked.IfPresent && result.MatchedCount == 0:
		err = store.ErrNotFound
	}
	return t.fault("put into "+c.Name(), err)
}

func (t *table) Get(ctx context.Context, group string, items ...string) (rows []chunked.Row, err error) {
	c := t.collections[group[0]]
	defer func() { err = t.fault("read "+c.Name(), err) }()
	if err := t.dialer.unreachable(); err != nil {
		return nil, err
	}
	cursor, err := c.Find(ctx, filter(group, items))
	if err != nil {
		return nil, err
	}
	var docs []document
	if err := cursor.All(ctx, &docs); err != nil {
		return nil, err
	}
	for _, d := range docs {
		rows = append(rows, chunked.Row{Item: strings.TrimPrefix(d.ID, group+separator), Value: d.Value})
	}
	return rows, nil
}

func (t *table) Delete(ctx context.Context, group string, items ...string) error {
	c := t.collections[group[0]]
	err := t.dialer.unreachable()
	if err == nil {
		_, err = c.DeleteMany(ctx, filter(group, items))
	}
	return t.fault("delete from "+c.Name(), err)
}

// filter selects the rows of group with these items, or all.
func filter(group string, items []string) bson.D {
	var id any
	switch len(items) {
	case 0:
		id = bson.D{{Key: "$gte", Value: group + separator}, {Key: "$lt", Value: group + beyond}}
	case 1:
		id = group + separator + items[0]
	default:
		ids := make(bson.A, len(items))
		for i, item := range items {
			ids[i] = group + separator + item
		}
		id = bson.D{{Key: "$in", Value: ids}}
	}
	return bson.D{{Key: "_id", Value: id}}
}

var errUnacknowledged = errors.New("the write concern is w=0, by which nobody learns what became of a write; want w=1 or more")

// Groups reads the ids alone, which MongoDB takes from their index without touching a document. One after the other they are of one
// group or of the next.
func (t *table) Groups(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		c := t.collections[prefix[0]]
		if err := t.groups(ctx, c, prefix, yield); err != nil {
			yield("", t.fault("list "+c.Name(), err))
		}
	}
}

func (t *table) groups(ctx context.Context, c *collection, prefix string, yield func(string, error) bool) error {
	if err := t.dialer.unreachable(); err != nil {
		return err
	}
	within := bson.D{{Key: "_id", Value: bson.D{{Key: "$gte", Value: prefix}, {Key: "$lt", Value: prefix + last}}}}
	cursor, err := c.Find(ctx, within, options.Find().SetProjection(bson.D{{Key: "_id", Value: 1}}).SetBatchSize(batch))
	if err != nil {
		return err
	}
	defer cursor.Close(context.WithoutCancel(ctx))
	previous := ""
	for cursor.Next(ctx) {
		group, _, _ := strings.Cut(cursor.Current.Lookup("_id").StringValue(), separator)
		if group == previous {
			continue
		}
		previous = group
		if !yield(group, nil) {
			return nil
		}
	}
	return cursor.Err()
}

// batch is how many ids Groups has in memory.
const batch = 1000

// Expire does what a server does by itself that has the TTL index, and at once.
func (t *table) Expire(ctx context.Context, now time.Time) error {
	err := t.dialer.unreachable()
	for _, c := range t.collections {
		if err == nil {
			_, err = c.DeleteMany(ctx, bson.D{{Key: "expires", Value: bson.D{{Key: "$lt", Value: now}}}})
		}
	}
	return t.fault("delete what has expired", err)
}

// prepare makes the TTL index of c before the first write to it. A server that refuses one is left to Expire.
func (t *table) prepare(ctx context.Context, c *collection) error {
	if err := t.dialer.unreachable(); err != nil || c.indexed.Load() {
		return err
	}
	_, err := c.Indexes().CreateOne(ctx, mongo.IndexModel{
		Keys:    bson.D{{Key: "expires", Value: 1}},
		Options: options.Index().SetExpireAfterSeconds(0),
	})
	if refused := (mongo.CommandError{}); errors.As(err, &refused) && !mongo.IsTimeout(err) {
		err = nil
	}
	if err == nil {
		c.indexed.Store(true)
	}
	return err
}

// fault says which database failed at what.
func (t *table) fault(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("mongodb %s: %s: %w", t.name, what, err)
}
