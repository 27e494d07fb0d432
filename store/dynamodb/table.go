package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	driver "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/chunked"
)

// Limits of DynamoDB.
const (
	maxItem       = 400 << 10 // bytes, names counted
	maxBatchGet   = 100       // items
	maxBatchWrite = 25
)

// table is a chunked.Table: a row is an item.
type table struct {
	client     *driver.Client
	name       string
	where      string // for errors: the table and the address
	attr       Attributes
	consistent bool
	segments   int
	written    recent
}

func (t *table) Put(ctx context.Context, r chunked.Row, when chunked.When) error {
	it := t.item(r)
	if n := size(it); n > maxItem {
		return t.fault("put", fmt.Errorf("an item of %d bytes, more than the %d that DynamoDB takes: %w", n, maxItem, store.ErrTooLarge))
	}
	in := &driver.PutItemInput{TableName: &t.name, Item: it}
	var otherwise error
	switch when {
	case chunked.IfPresent:
		otherwise = store.ErrNotFound
		in.ConditionExpression = aws.String("attribute_exists(#pk)")
		in.ExpressionAttributeNames = map[string]string{"#pk": t.attr.Partition}
	case chunked.IfAbsent:
		otherwise = chunked.ErrPresent
		in.ConditionExpression = aws.String("attribute_not_exists(#pk) OR #until < :now")
		in.ExpressionAttributeNames = map[string]string{"#pk": t.attr.Partition, "#until": t.attr.Until}
		in.ExpressionAttributeValues = item{":now": number(time.Now().UnixMilli())}
	}
	_, err := t.client.PutItem(ctx, in)
	t.written.add(r.Group, time.Now())
	if failed := (*types.ConditionalCheckFailedException)(nil); errors.As(err, &failed) {
		err = otherwise
	}
	return t.fault("put", err)
}

func (t *table) Get(ctx context.Context, group string, items ...string) (rows []chunked.Row, err error) {
	strong := t.consistent || strings.HasPrefix(group, "l/") || t.written.has(group, time.Now())
	if len(items) == 0 {
		for page := t.pages(group, strong, ""); page.HasMorePages() && err == nil; {
			var out *driver.QueryOutput
			if out, err = page.NextPage(ctx); err == nil {
				rows = t.rows(rows, out.Items)
			}
		}
		return rows, t.fault("get", err)
	}
	rows, err = t.named(ctx, group, items, strong)
	if err == nil && !strong && len(rows) < len(items) {
		// This read may have missed what another process wrote a moment ago: who asks for an item by its name has
		// reason to expect it.
		absent := slices.DeleteFunc(slices.Clone(items), func(it string) bool {
			return slices.ContainsFunc(rows, func(r chunked.Row) bool { return r.Item == it })
		})
		var late []chunked.Row
		late, err = t.named(ctx, group, absent, true)
		rows = append(rows, late...)
	}
	return rows, t.fault("get", err)
}

// pages returns the items of group. If attribute is not empty, they have that one alone.
func (t *table) pages(group string, strong bool, attribute string) *driver.QueryPaginator {
	in := &driver.QueryInput{
		TableName: &t.name, ConsistentRead: &strong,
		KeyConditionExpression:    aws.String("#pk = :group"),
		ExpressionAttributeNames:  map[string]string{"#pk": t.attr.Partition},
		ExpressionAttributeValues: item{":group": text(group)},
	}
	if attribute != "" {
		in.ProjectionExpression = aws.String("#only")
		in.ExpressionAttributeNames["#only"] = attribute
	}
	return driver.NewQueryPaginator(t.client, in)
}

func (t *table) named(ctx context.Context, group string, items []string, strong bool) ([]chunked.Row, error) {
	if len(items) == 1 {
		out, err := t.client.GetItem(ctx, &driver.GetItemInput{
			TableName: &t.name, Key: t.key(group, items[0]), ConsistentRead: &strong})
		if err != nil || len(out.Item) == 0 {
			return nil, err
		}
		return t.rows(nil, []item{out.Item}), nil
	}
	var rows []chunked.Row
	for batch := range slices.Chunk(t.keys(group, items), maxBatchGet) {
		rest := map[string]types.KeysAndAttributes{t.name: {Keys: batch, ConsistentRead: &strong}}
		for tries := 0; len(rest) > 0; tries++ {
			out, err := t.client.BatchGetItem(ctx, &driver.BatchGetItemInput{RequestItems: rest})
			if err != nil {
				return nil, err
			}
			before := len(rows)
			for _, got := range out.Responses { // of one table
				rows = t.rows(rows, got)
			}
			if len(rows) > before {
				tries = 0
			}
			if rest = out.UnprocessedKeys; len(rest) > 0 {
				if err := pause(ctx, tries); err != nil {
					return nil, err
				}
			}
		}
	}
	return rows, nil
}

func (t *table) Delete(ctx context.Context, group string, items ...string) (err error) {
	defer func() { t.written.add(group, time.Now()) }()
	if len(items) > 0 {
		return t.fault("delete", t.remove(ctx, t.keys(group, items)))
	}
	var keys []item
	for page := t.pages(group, true, t.attr.Sort); page.HasMorePages() && err == nil; {
		var out *driver.QueryOutput
		if out, err = page.NextPage(ctx); err != nil {
			break
		}
		for _, it := range out.Items {
			it[t.attr.Partition] = text(group)
			keys = append(keys, it)
		}
		if len(keys) >= maxBatchWrite || !page.HasMorePages() {
			err, keys = t.remove(ctx, keys), keys[:0]
		}
	}
	return t.fault("delete", err)
}

func (t *table) remove(ctx context.Context, keys []item) error {
	for batch := range slices.Chunk(keys, maxBatchWrite) {
		var requests []types.WriteRequest
		for _, key := range batch {
			requests = append(requests, types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: key}})
		}
		rest := map[string][]types.WriteRequest{t.name: requests}
		for tries := 0; len(rest) > 0; tries++ {
			out, err := t.client.BatchWriteItem(ctx, &driver.BatchWriteItemInput{RequestItems: rest})
			if err != nil {
				return err
			}
			if count(out.UnprocessedItems) < count(rest) {
				tries = 0
			}
			if rest = out.UnprocessedItems; len(rest) > 0 {
				if err := pause(ctx, tries); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func count(requests map[string][]types.WriteRequest) (n int) {
	for _, r := range requests {
		n += len(r)
	}
	return n
}
