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
	reach       *reach               // nil: the client is not ours
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

// maxValue is the most that a document of 16 MiB holds beside its id and expiry.
const maxValue = 16<<20 - 1024

func newTable(db *mongo.Database, name string, r *reach) *table {
	t := &table{collections: make(map[byte]*collection), name: name, reach: r}
	// What the client's options say of encoding is for the user's own documents.
	plain := options.Collection().SetRegistry(bson.NewRegistry()).SetBSONOptions(new(options.BSONOptions))
	for kind, name := range map[byte]string{'r': "larder.records", 'b': "larder.bodies", 'i': "larder.index", 'l': "larder.leases"} {
		t.collections[kind] = &collection{Collection: db.Collection(name, plain)}
	}
	return t
}

// call calls do. Its error says what failed, and where.
func (t *table) call(ctx context.Context, what string, c *collection, do func(context.Context) error) error {
	if err := t.reach.call(ctx, do); err != nil {
		return fmt.Errorf("mongodb %s: %s %s: %w", t.name, what, c.Name(), err)
	}
	return nil
}

func (t *table) Put(ctx context.Context, r chunked.Row, when chunked.When) error {
	c := t.collections[r.Group[0]]
	return t.call(ctx, "put into", c, func(ctx context.Context) error {
		if len(r.Value) > maxValue {
			return fmt.Errorf("%d bytes, where a document has %d at most: %w", len(r.Value), maxValue, store.ErrTooLarge)
		}
		if err := c.index(ctx); err != nil {
			return err
		}
		doc := document{ID: r.Group + separator + r.Item, Value: r.Value, Expires: r.Expires}
		filter := bson.D{{Key: "_id", Value: doc.ID}}
		if when == chunked.IfAbsent { // a row that has not expired is not matched, and to insert one fails then, since the id is taken
			filter = append(filter, bson.E{Key: "expires", Value: bson.D{{Key: "$lt", Value: time.Now()}}})
		}
		result, err := c.ReplaceOne(ctx, filter, doc, options.Replace().SetUpsert(when != chunked.IfPresent))
		switch {
		case when == chunked.IfAbsent && mongo.IsDuplicateKeyError(err):
			return chunked.ErrPresent
		case err != nil:
			return err
		case !result.Acknowledged:
			return errUnacknowledged
		case when == chunked.IfPresent && result.MatchedCount == 0:
			return store.ErrNotFound
		}
		return nil
	})
}

var errUnacknowledged = errors.New("the write concern is w=0, by which nobody learns what became of a write; want w=1 or more")

// readTime bounds a read. Only under a deadline does the driver repeat a read that is cut off, until it succeeds.
const readTime = time.Minute

func (t *table) Get(ctx context.Context, group string, items ...string) (rows []chunked.Row, err error) {
	c := t.collections[group[0]]
	err = t.call(ctx, "read", c, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, readTime)
		defer cancel()
		cursor, err := c.Find(ctx, filter(group, items), options.Find().SetLimit(int64(len(items)))) // 0: all
		if err != nil {
			return err
		}
		defer end(ctx, cursor)
		for cursor.Next(ctx) {
			var d document
			if err := cursor.Decode(&d); err != nil {
				return err
			}
			rows = append(rows, chunked.Row{Item: strings.TrimPrefix(d.ID, group+separator), Value: d.Value})
		}
		return cursor.Err()
	})
	return rows, err
}

// end closes a cursor, even after the call's context has ended. Without endTime the driver would wait for the answer of
// a server that hangs (as Cursor.All does). A server that does not hear of it ends the cursor by itself.
func end(ctx context.Context, cursor *mongo.Cursor) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	cursor.Close(ctx)
}

const endTime = 250 * time.Millisecond

func (t *table) Delete(ctx context.Context, group string, items ...string) error {
	c := t.collections[group[0]]
	return t.call(ctx, "delete from", c, func(ctx context.Context) (err error) {
		if len(items) == 1 { // the driver repeats this if it was cut off
			_, err = c.DeleteOne(ctx, filter(group, items))
		} else {
			_, err = c.DeleteMany(ctx, filter(group, items))
		}
		return err
	})
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

// batch is how many ids Groups has in memory at once.
const batch = 1000

// Groups reads the ids alone, which MongoDB takes from their index without touching a document. In the index the ids of
// a group follow each other.
func (t *table) Groups(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		c := t.collections[prefix[0]]
		err := t.call(ctx, "list", c, func(ctx context.Context) error {
			within := bson.D{{Key: "_id", Value: bson.D{{Key: "$gte", Value: prefix}, {Key: "$lt", Value: prefix + last}}}}
			cursor, err := c.Find(ctx, within, options.Find().SetProjection(bson.D{{Key: "_id", Value: 1}}).SetBatchSize(batch))
			if err != nil {
				return err
			}
			defer end(ctx, cursor)
			for previous := ""; cursor.Next(ctx); {
				group, _, _ := strings.Cut(cursor.Current.Lookup("_id").StringValue(), separator)
				if group != previous && !yield(group, nil) {
					return nil
				}
				previous = group
			}
			return cursor.Err()
		})
		if err != nil {
			yield("", err)
		}
	}
}

// Expire does at once what a server with the TTL index does by itself.
func (t *table) Expire(ctx context.Context, now time.Time) error {
	for _, c := range t.collections {
		err := t.call(ctx, "delete what has expired from", c, func(ctx context.Context) error {
			_, err := c.DeleteMany(ctx, bson.D{{Key: "expires", Value: bson.D{{Key: "$lt", Value: now}}}})
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// index makes the TTL index before the first write. Where the server refuses it, Expire does its work.
func (c *collection) index(ctx context.Context) error {
	if c.indexed.Load() {
		return nil
	}
	_, err := c.Indexes().CreateOne(ctx, mongo.IndexModel{
		Keys:    bson.D{{Key: "expires", Value: 1}},
		Options: options.Index().SetExpireAfterSeconds(0),
	})
	var refused mongo.CommandError // the driver makes one of a broken connection, too, without a code
	if err != nil && (!errors.As(err, &refused) || refused.Code == 0 || mongo.IsTimeout(err)) {
		return fmt.Errorf("make the TTL index: %w", err)
	}
	c.indexed.Store(true)
	return nil
}
