package mongodb

import (
	"context"
	"crypto/rand"
	"os"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// ferret says that the server is FerretDB 1. It loses updates that come by two connections at once, so its URI has
// maxPoolSize=1, and there must be only one client. It has no TTL index and no users. It reads a whole collection
// unless it is asked for one document by its id.
var ferret = os.Getenv("MONGODB_FLAVOUR") == "ferretdb1"

// serverURI returns the URI of the server, for a database. The driver waits long for the only connection if there is
// but one.
func serverURI(t testing.TB, database string) string {
	uri := os.Getenv("MONGODB_URI")
	if uri == "" {
		t.Skip("MONGODB_URI names no server: MongoDB is not tested")
	}
	head, query, _ := strings.Cut(uri, "?")
	scheme, hosts, _ := strings.Cut(head, "://")
	hosts, _, _ = strings.Cut(hosts, "/")
	uri = scheme + "://" + hosts + "/" + database + "?" + query
	if ferret {
		uri += "&serverSelectionTimeoutMS=60000"
	}
	return uri
}

// database returns a database of the test's own, which is removed at its end.
func database(t testing.TB) *mongo.Database {
	name := databaseName()
	client, err := mongo.Connect(options.Client().ApplyURI(serverURI(t, name)))
	if err != nil {
		t.Fatal(err)
	}
	db := client.Database(name)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := db.Drop(ctx); err != nil {
			t.Error(err)
		}
		if err := client.Disconnect(ctx); err != nil {
			t.Error(err)
		}
	})
	return db
}

func databaseName() string { return "larder_test_" + strings.ToLower(rand.Text()[:16]) }
