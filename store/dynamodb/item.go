package dynamodb

import (
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/larder-go/larder/store/chunked"
)

type item = map[string]types.AttributeValue

func (t *table) key(group, name string) item {
	return item{t.attr.Partition: text(group), t.attr.Sort: text(name)}
}

// keys returns the keys of these items, each once, since a batch must not name one twice.
func (t *table) keys(group string, items []string) []item {
	items = slices.Clone(items)
	slices.Sort(items)
	var keys []item
	for _, name := range slices.Compact(items) {
		keys = append(keys, t.key(group, name))
	}
	return keys
}

func (t *table) item(r chunked.Row) item {
	it := t.key(r.Group, r.Item)
	if len(r.Value) > 0 {
		it[t.attr.Value] = &types.AttributeValueMemberB{Value: r.Value}
	}
	if !r.Expires.IsZero() {
		ms := r.Expires.UnixMilli()
		it[t.attr.Until] = number(ms)
		it[t.attr.Expires] = number((ms + 999) / 1000)
	}
	return it
}

func (t *table) rows(rows []chunked.Row, items []item) []chunked.Row {
	for _, it := range items {
		var r chunked.Row
		if name, ok := it[t.attr.Sort].(*types.AttributeValueMemberS); ok {
			r.Item = name.Value
		}
		if value, ok := it[t.attr.Value].(*types.AttributeValueMemberB); ok {
			r.Value = value.Value
		}
		rows = append(rows, r)
	}
	return rows
}

// size returns the bytes that DynamoDB counts for an item, or a few more.
func size(it item) (n int) {
	for name, value := range it {
		n += len(name)
		switch v := value.(type) {
		case *types.AttributeValueMemberS:
			n += len(v.Value)
		case *types.AttributeValueMemberB:
			n += len(v.Value)
		case *types.AttributeValueMemberN:
			n += len(v.Value)
		}
	}
	return n
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}
