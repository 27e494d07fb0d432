package mongodb

import (
	"context"
	"encoding/hex"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/storetest"
)

func TestContract(t *testing.T) {
	databases := databasesOf(t)
	damage := func(dir, collection, id string) error {
		c := databases.at(dir).Collection(collection)
		byID := bson.D{{Key: "_id", Value: id}}
		var d document
		if err := c.FindOne(t.Context(), byID).Decode(&d); err != nil {
			return err
		}
		d.Value[len(d.Value)/2] ^= 1
		_, err := c.ReplaceOne(t.Context(), byID, d)
		return err
	}
	storetest.Run(t, storetest.Kit{
		Open:       databases.open,
		Persistent: true,
		Shared:     true,
		DamageHead: func(dir string, r *store.Record) error {
			return damage(dir, "larder.records", fmt.Sprintf("r/%s:%s", digest(r.Key), r.ID))
		},
		DamageBody: func(dir string, r *store.Record) error {
			return damage(dir, "larder.bodies", fmt.Sprintf("b/%s/%s:00000000", digest(r.Key), r.ID))
		},
	})
}

func digest(key store.Key) string {
	d := key.Digest()
	return hex.EncodeToString(d[:])
}

// databases are databases of one server by the folder that the kit names them by.
type databases struct {
	t     testing.TB
	mu    sync.Mutex
	byDir map[string]*mongo.Database
	one   *mongo.Database // whose client all use if the server is FerretDB
}

func databasesOf(t testing.TB) *databases {
	d := &databases{t: t, byDir: make(map[string]*mongo.Database)}
	if ferret {
		t.Log("FerretDB 1 is unsafe with two clients at once: here two stores that share a database share the connection, too")
		d.one = database(t)
	}
	return d
}

func (d *databases) at(dir string) *mongo.Database {
	d.mu.Lock()
	defer d.mu.Unlock()
	db := d.byDir[dir]
	switch {
	case db != nil:
	case d.one != nil:
		db = d.one.Client().Database(databaseName())
		d.t.Cleanup(func() {
			if err := db.Drop(context.Background()); err != nil {
				d.t.Error(err)
			}
		})
	default:
		db = database(d.t)
	}
	d.byDir[dir] = db
	return db
}

func (d *databases) open(dir string) (store.Store, error) {
	db := d.at(dir)
	if d.one != nil {
		// It reads what is left of bodies again and again, so that should be little.
		return New(db, &Options{Grace: time.Second})
	}
	return Open(context.Background(), serverURI(d.t, db.Name()), nil)
}
