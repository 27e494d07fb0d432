package faults

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	aws "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/jackc/pgx/v5"
	driver "github.com/redis/go-redis/v9"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/larder-go/larder/examples/postgres"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/chunked"
	"github.com/larder-go/larder/store/dynamodb"
	"github.com/larder-go/larder/store/mongodb"
	"github.com/larder-go/larder/store/redis"
	"github.com/larder-go/larder/store/storetest"
)

var kitLatency = flag.Duration("kit-latency", 0, "how late TestKitWithLatency hears from each server, in whole ms; 0: 1 ms, and from Redis alone")

// TestKitWithLatency runs the kit's cases on servers that are far away: each answer comes late.
func TestKitWithLatency(t *testing.T) {
	t.Parallel()
	latency, all := *kitLatency, *kitLatency > 0
	if !all {
		latency = time.Millisecond
	}
	for _, x := range servers {
		if !all && x.env != "REDIS_URL" {
			continue
		}
		t.Run(x.name, func(t *testing.T) {
			server := os.Getenv(x.env)
			if server == "" {
				t.Skipf("%s names no server, so it is not tested", x.env)
			}
			t.Parallel()
			p, f := x.reach(t, server)
			p.add("slow", "latency", fmt.Sprintf(`"attributes":{"latency":%d}`, latency.Milliseconds()))
			storetest.Run(t, f.kit(t))
		})
	}
}

// far is a server behind a proxy. A space is what the data of one case is kept in.
type far struct {
	open   func(space string) (store.Store, error) // through the proxy
	remove func(space string) error
	// alter has a byte of a value changed: of a record's row, or of a piece of its body if piece is not "".
	alter func(space, digest, id, piece string) error
}

// kit returns what storetest needs of stores that are kept there.
func (f *far) kit(t *testing.T) storetest.Kit {
	root := "larder-test-" + strings.ToLower(rand.Text()[:16])
	var mu sync.Mutex
	spaces := make(map[string]string) // by the folder that the kit names them by
	t.Cleanup(func() {
		for _, space := range spaces {
			if err := f.remove(space); err != nil {
				t.Errorf("clean up: %v", err)
			}
		}
	})
	space := func(dir string) string {
		mu.Lock()
		defer mu.Unlock()
		if spaces[dir] == "" {
			spaces[dir] = fmt.Sprint(root, "-", len(spaces))
		}
		return spaces[dir]
	}
	alter := func(dir string, r *store.Record, piece string) error {
		digest := r.Key.Digest()
		return f.alter(space(dir), hex.EncodeToString(digest[:]), r.ID.String(), piece)
	}
	return storetest.Kit{
		Open:       func(dir string) (store.Store, error) { return f.open(space(dir)) },
		Persistent: true,
		Shared:     true,
		DamageHead: func(dir string, r *store.Record) error { return alter(dir, r, "") },
		DamageBody: func(dir string, r *store.Record) error { return alter(dir, r, "00000000") },
	}
}

// row returns what package chunked calls the row that alter is about.
func row(digest, id, piece string) (group, item string) {
	if piece == "" {
		return "r/" + digest, id
	}
	return "b/" + digest + "/" + id, piece
}

func flip(value []byte) []byte {
	value[len(value)/2] ^= 1
	return value
}

// servers are those that the variable names, each reached through a proxy of the test's own.
var servers = []struct {
	name, env string
	reach     func(t *testing.T, server string) (*proxy, *far)
}{
	{"Redis", "REDIS_URL", func(t *testing.T, server string) (*proxy, *far) {
		o, err := driver.ParseURL(server)
		if err != nil {
			t.Fatal("REDIS_URL cannot be read")
		}
		direct := driver.NewClient(o)
		t.Cleanup(func() { direct.Close() })
		p, ctx := newProxy(t, o.Addr), context.Background()
		through := strings.Replace(server, host(t, server), p.Listen, 1)
		return p, &far{
			open: func(space string) (store.Store, error) {
				return redis.Open(ctx, through, &redis.Options{Prefix: space, MaxBody: -1})
			},
			remove: func(space string) error {
				keys := direct.Scan(ctx, 0, space+":*", 1000).Iterator()
				for keys.Next(ctx) {
					if err := direct.Unlink(ctx, keys.Val()).Err(); err != nil {
						return err
					}
				}
				return keys.Err()
			},
			alter: func(space, digest, id, piece string) error {
				key, field := fmt.Sprintf("%s:r:{%s}", space, digest), id
				if piece != "" {
					key, field = fmt.Sprintf("%s:b:{%s}:%s", space, digest, id), piece
				}
				value, err := direct.HGet(ctx, key, field).Bytes()
				if err != nil {
					return err
				}
				return direct.HSet(ctx, key, field, flip(value)).Err()
			},
		}
	}},
	// There is one client, also for what goes past the stores, since FerretDB 1 is unsafe with two.
	{"MongoDB", "MONGODB_URI", func(t *testing.T, server string) (*proxy, *far) {
		o := options.Client().ApplyURI(server)
		if o.Validate() != nil || len(o.Hosts) != 1 || !strings.HasPrefix(server, "mongodb://") {
			t.Skip("MONGODB_URI does not name a single server: there can be no proxy before it")
		}
		p, ctx := newProxy(t, o.Hosts[0]), context.Background()
		c, err := mongo.Connect(o.SetHosts([]string{p.Listen}).SetDirect(true).SetServerSelectionTimeout(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Disconnect(ctx) })
		return p, &far{
			open: func(space string) (store.Store, error) {
				return mongodb.New(c.Database(space), &mongodb.Options{Grace: time.Second}) // FerretDB 1 reads what is left again and again
			},
			remove: func(space string) error { return c.Database(space).Drop(ctx) },
			alter: func(space, digest, id, piece string) error {
				group, item := row(digest, id, piece)
				rows := c.Database(space).Collection(map[byte]string{'r': "larder.records", 'b': "larder.bodies"}[group[0]])
				byID := bson.D{{Key: "_id", Value: group + ":" + item}}
				var row struct{ Value []byte }
				if err := rows.FindOne(ctx, byID).Decode(&row); err != nil {
					return err
				}
				_, err := rows.UpdateOne(ctx, byID, bson.D{{Key: "$set", Value: bson.D{{Key: "value", Value: flip(row.Value)}}}})
				return err
			},
		}
	}},
	{"DynamoDB", "DYNAMODB_ENDPOINT", func(t *testing.T, server string) (*proxy, *far) {
		p, ctx := newProxy(t, host(t, server)), context.Background()
		cfg, err := config.LoadDefaultConfig(ctx)
		if err != nil {
			t.Fatal(err)
		}
		direct := aws.NewFromConfig(cfg, func(o *aws.Options) { o.BaseEndpoint = &server })
		return p, &far{
			open: func(space string) (store.Store, error) {
				return dynamodb.Open(ctx, "dynamodb://"+space+"?create=true&endpoint=http://"+p.Listen, nil)
			},
			remove: func(space string) error {
				_, err := direct.DeleteTable(ctx, &aws.DeleteTableInput{TableName: &space})
				return err
			},
			alter: func(space, digest, id, piece string) error {
				group, item := row(digest, id, piece)
				found, err := direct.GetItem(ctx, &aws.GetItemInput{TableName: &space, Key: map[string]types.AttributeValue{
					"pk": &types.AttributeValueMemberS{Value: group}, "sk": &types.AttributeValueMemberS{Value: item},
				}})
				if err != nil {
					return err
				}
				value, ok := found.Item["value"].(*types.AttributeValueMemberB)
				if !ok {
					return fmt.Errorf("there is no %s %s", group, item)
				}
				flip(value.Value)
				_, err = direct.PutItem(ctx, &aws.PutItemInput{TableName: &space, Item: found.Item})
				return err
			},
		}
	}},
	{"PostgreSQL", "POSTGRES_URL", func(t *testing.T, server string) (*proxy, *far) {
		p, through, direct := pools(t, server)
		ctx := context.Background()
		return p, &far{
			open: func(space string) (store.Store, error) {
				table, err := postgres.New(ctx, through, space)
				if err != nil {
					return nil, err
				}
				return chunked.New(table, nil), nil
			},
			remove: func(space string) error { return dropTable(direct, space) },
			alter: func(space, digest, id, piece string) error {
				group, item := row(digest, id, piece)
				const query = `UPDATE %s SET value = set_byte(value, length(value) / 2, get_byte(value, length(value) / 2) # 1)
					WHERE grp = $1 AND item = $2`
				done, err := direct.Exec(ctx, fmt.Sprintf(query, pgx.Identifier{space}.Sanitize()), group, item)
				if err == nil && done.RowsAffected() != 1 {
					err = fmt.Errorf("%d rows were altered, want 1", done.RowsAffected())
				}
				return err
			},
		}
	}},
}
