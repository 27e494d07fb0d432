package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	aws "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/redis/rueidis"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/larder-go/larder/store"
)

// sweepLater sweeps as a process does two hours from now, when what dead writers left is old enough.
func sweepLater(t *testing.T, kind, dir string) {
	t.Helper()
	later := time.Now().Add(2 * time.Hour)
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(later))
		s, err := openStore(kind, dir)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.(store.Sweeper).Sweep(context.Background(), time.Now())
		if err = errors.Join(err, s.Close()); err != nil {
			t.Errorf("Sweep: %v", err)
		}
	})
}

// remains returns the names of files, rows or keys of a store that belong to no record, and by how many records the
// store's Size is off. It looks past the store, by what its documentation says of its layout.
func remains(t *testing.T, kind, dir string) (loose []string, off int) {
	t.Helper()
	s, err := openStore(kind, dir)
	if err != nil {
		t.Fatal(err)
	}
	ids := make(map[string]bool)
	for r, err := range s.(store.Finder).Find(t.Context(), store.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		ids[r.ID.String()] = true
	}
	if z, ok := store.As[store.Sizer](s); ok {
		n, _, err := z.Size(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		off = n - len(ids)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := layouts[kind](t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(names, func(name string) bool {
		all := anID.FindAllString(name, -1)
		return len(all) > 0 && ids[all[len(all)-1]]
	}), off
}

// anID is an ID in the name of what belongs to a record; the digest of a key, before it, is longer.
var anID = regexp.MustCompile(`\b[0-9a-f]{32}\b`)

// layouts return the names of all that must belong to a record.
var layouts = map[string]func(ctx context.Context, dir string) ([]string, error){
	"disk":     diskNames,
	"sqlite":   sqliteNames,
	"redis":    redisNames,
	"mongodb":  mongoNames,
	"dynamodb": dynamoNames,
}

var (
	books     = regexp.MustCompile(`^usage-|^[0-9a-f](-[0-9a-f]{16})?$`) // the ledger and the index, of no record
	firstHead = regexp.MustCompile(`^[0-9a-f]{64}\.head$`)               // is a record, by its name
)

func diskNames(_ context.Context, dir string) (names []string, err error) {
	err = filepath.WalkDir(filepath.Join(dir, "cache", "v1"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if books.MatchString(d.Name()) || firstHead.MatchString(d.Name()) || d.IsDir() {
			return nil
		}
		names = append(names, path)
		return nil
	})
	return names, err
}

func sqliteNames(ctx context.Context, dir string) (names []string, err error) {
	db, err := sql.Open("sqlite", filepath.Join(dir, "cache.db"))
	if err != nil {
		return nil, err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, `SELECT 'chunks ' || lower(hex(id)) FROM chunks
		UNION SELECT 'loose ' || lower(hex(id)) FROM loose
		UNION SELECT 'tag ' || tag FROM tags WHERE entry NOT IN (SELECT n FROM entries)`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

func redisNames(ctx context.Context, dir string) (names []string, err error) {
	o, err := rueidis.ParseURL(os.Getenv("REDIS_URL"))
	if err != nil {
		return nil, err
	}
	o.DisableCache = true
	c, err := rueidis.NewClient(o)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	for cursor := uint64(0); ; {
		page, err := c.Do(ctx, c.B().Scan().Cursor(cursor).Match(spaceOf(dir)+":*").Count(1000).Build()).AsScanEntry()
		if err != nil {
			return nil, err
		}
		for _, key := range page.Elements {
			switch kind := key[len(spaceOf(dir))+1]; kind {
			case 'b':
				names = append(names, key)
			case 'i':
				marks, err := c.Do(ctx, c.B().Zrange().Key(key).Min("0").Max("-1").Build()).AsStrSlice()
				if err != nil {
					return nil, err
				}
				names = append(names, marks...)
			}
		}
		if cursor = page.Cursor; cursor == 0 {
			return names, nil
		}
	}
}

func mongoNames(ctx context.Context, dir string) (names []string, err error) {
	c, err := mongo.Connect(options.Client().ApplyURI(os.Getenv("MONGODB_URI")))
	if err != nil {
		return nil, err
	}
	defer c.Disconnect(ctx)
	for collection, name := range map[string]*regexp.Regexp{
		"larder.bodies": regexp.MustCompile(`^[^:]*`), // b/DIGEST/ID:PIECE
		"larder.index":  regexp.MustCompile(`[^:]*$`), // i/…:DIGEST/ID
	} {
		ids := options.Find().SetProjection(bson.D{{Key: "_id", Value: 1}})
		cursor, err := c.Database(spaceOf(dir)).Collection(collection).Find(ctx, bson.D{}, ids)
		if err != nil {
			return nil, err
		}
		for cursor.Next(ctx) {
			names = append(names, name.FindString(cursor.Current.Lookup("_id").StringValue()))
		}
		if err := errors.Join(cursor.Err(), cursor.Close(ctx)); err != nil {
			return nil, err
		}
	}
	return names, nil
}

func dynamoNames(ctx context.Context, dir string) (names []string, err error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, err
	}
	endpoint, table := os.Getenv("DYNAMODB_ENDPOINT"), spaceOf(dir)
	c := aws.NewFromConfig(cfg, func(o *aws.Options) { o.BaseEndpoint = &endpoint })
	for pages := aws.NewScanPaginator(c, &aws.ScanInput{TableName: &table}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, item := range page.Items {
			group, ok := item["pk"].(*types.AttributeValueMemberS)
			name, ok2 := item["sk"].(*types.AttributeValueMemberS)
			switch {
			case !ok || !ok2:
				return nil, fmt.Errorf("an item with the keys %v, %v", item["pk"], item["sk"])
			case group.Value[0] == 'b':
				names = append(names, group.Value)
			case group.Value[0] == 'i':
				names = append(names, name.Value)
			}
		}
	}
	return names, nil
}
