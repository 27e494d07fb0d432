package dynamodb

import (
	"testing"
	"time"

	driver "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/chunked"
	"github.com/larder-go/larder/store/storetest"
)

func TestContract(t *testing.T) {
	for name, o := range map[string]Options{
		"defaults": {},
		"small chunks and bodies, read strongly consistently, other names": {
			Options:    chunked.Options{Chunk: 32 << 10, MaxBody: 1 << 20, Parallel: 8, Grace: 15 * time.Second},
			Consistent: true,
			Segments:   1,
			Attributes: Attributes{"group", "item", "bytes", "ttl", "until ms"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ts := tables{t: t}
			o.Endpoint, o.Create = endpoint(t), true
			storetest.Run(t, storetest.Kit{
				Open:       func(dir string) (store.Store, error) { return Open(ctx, "dynamodb://"+ts.at(dir), &o) },
				Persistent: true,
				Shared:     true,
				MaxBody:    o.MaxBody,
				DamageHead: func(dir string, r *store.Record) error {
					return alter(ts.at(dir), o, "r/"+digest(r), r.ID.String())
				},
				DamageBody: func(dir string, r *store.Record) error {
					return alter(ts.at(dir), o, "b/"+digest(r)+"/"+r.ID.String(), "00000000")
				},
			})
		})
	}
}

// alter changes a byte of a stored value behind the store's back.
func alter(name string, o Options, group, item_ string) error {
	client, closeIdle, err := connect(ctx, &o)
	if err != nil {
		return err
	}
	defer closeIdle()
	attr := o.Attributes.orDefaults()
	out, err := client.GetItem(ctx, &driver.GetItemInput{TableName: &name, Key: item{attr.Partition: text(group), attr.Sort: text(item_)}})
	if err != nil {
		return err
	}
	value := out.Item[attr.Value].(*types.AttributeValueMemberB).Value
	value[len(value)/2] ^= 1
	_, err = client.PutItem(ctx, &driver.PutItemInput{TableName: &name, Item: out.Item})
	return err
}
