package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	driver "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

// ErrNoTimeToLive says that the server does not know the time to live of items, as is so with some servers that only
// behave like DynamoDB. The table can be used, but what has expired stays until Sweep, or the cache itself, removes it.
var ErrNoTimeToLive = errors.New("the server has no time to live")

// createTimeout is how long a new table may take until it can be used.
const createTimeout = 2 * time.Minute

// probe asks for an item that is not there, which shows whether the table can be used.
func (t *table) probe(ctx context.Context) error {
	if c := t.client.Options().Credentials; c != nil {
		if _, err := c.Retrieve(ctx); err != nil {
			return t.fault("open", fmt.Errorf("there are no credentials: %w", err))
		}
	}
	_, err := t.client.GetItem(ctx, &driver.GetItemInput{TableName: &t.name, Key: t.key("probe", "probe")})
	if api := (smithy.APIError)(nil); errors.As(err, &api) && api.ErrorCode() == "ValidationException" {
		err = fmt.Errorf("want a table with the partition key %q and the sort key %q, both strings: %w", t.attr.Partition, t.attr.Sort, plainly(err))
	}
	return t.fault("open", err)
}

// CreateTable creates the table if it is missing, billed by request, waits until it can be used, and switches its time
// to live on if that is off. An error that wraps ErrNoTimeToLive leaves a table that can be used.
func (s *Store) CreateTable(ctx context.Context) error {
	t := s.table
	err := t.create(ctx)
	if err == nil {
		err = t.expire(ctx)
	}
	return t.fault("create the table", err)
}

func (t *table) create(ctx context.Context) error {
	describe := &driver.DescribeTableInput{TableName: &t.name}
	out, err := t.client.DescribeTable(ctx, describe)
	if missing := (*types.ResourceNotFoundException)(nil); errors.As(err, &missing) {
		_, err = t.client.CreateTable(ctx, &driver.CreateTableInput{
			TableName:   &t.name,
			BillingMode: types.BillingModePayPerRequest,
			AttributeDefinitions: []types.AttributeDefinition{
				{AttributeName: &t.attr.Partition, AttributeType: types.ScalarAttributeTypeS},
				{AttributeName: &t.attr.Sort, AttributeType: types.ScalarAttributeTypeS},
			},
			KeySchema: []types.KeySchemaElement{
				{AttributeName: &t.attr.Partition, KeyType: types.KeyTypeHash},
				{AttributeName: &t.attr.Sort, KeyType: types.KeyTypeRange},
			},
		})
		if another := (*types.ResourceInUseException)(nil); errors.As(err, &another) {
			err = nil
		}
	} else if err == nil && out.Table.TableStatus == types.TableStatusActive {
		return nil
	}
	if err != nil {
		return err
	}
	return driver.NewTableExistsWaiter(t.client, func(o *driver.TableExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 250*time.Millisecond, 2*time.Second
	}).Wait(ctx, describe, createTimeout)
}

// expire switches the time to live on.
func (t *table) expire(ctx context.Context) error {
	on, err := t.expires(ctx)
	if on || err != nil {
		return err
	}
	_, err = t.client.UpdateTimeToLive(ctx, &driver.UpdateTimeToLiveInput{
		TableName:               &t.name,
		TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: &t.attr.Expires, Enabled: aws.Bool(true)},
	})
	if err == nil {
		return nil
	}
	if on, _ := t.expires(ctx); on {
		return nil // another process was faster
	}
	return fmt.Errorf("switch the time to live on: %w", plainly(timeToLiveFault(err)))
}

// expires reports whether the time to live is on.
func (t *table) expires(ctx context.Context) (bool, error) {
	out, err := t.client.DescribeTimeToLive(ctx, &driver.DescribeTimeToLiveInput{TableName: &t.name})
	if err != nil {
		return false, timeToLiveFault(err)
	}
	d := out.TimeToLiveDescription
	if d == nil || d.TimeToLiveStatus != types.TimeToLiveStatusEnabled && d.TimeToLiveStatus != types.TimeToLiveStatusEnabling {
		return false, nil
	}
	if name := aws.ToString(d.AttributeName); name != t.attr.Expires {
		return false, fmt.Errorf("its time to live goes by the attribute %q, want %q", name, t.attr.Expires)
	}
	return true, nil
}

func timeToLiveFault(err error) error {
	if api := (smithy.APIError)(nil); errors.As(err, &api) && api.ErrorCode() == "UnknownOperationException" {
		return ErrNoTimeToLive
	}
	return err
}
