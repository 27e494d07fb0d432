package dynamodb

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	driver "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// page is what a segment of a scan found.
type page struct {
	groups []string
	err    error
	last   bool
}

func (t *table) Groups(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		pages := make(chan page)
		var segments sync.WaitGroup
		defer segments.Wait()
		defer cancel()
		for i := range t.segments {
			segments.Go(func() { t.scan(ctx, prefix, i, pages) })
		}
		for left := t.segments; left > 0; {
			var p page
			select {
			case p = <-pages:
			case <-ctx.Done():
				p.err = ctx.Err()
			}
			if p.err != nil {
				yield("", t.fault("list", p.err))
				return
			}
			for _, group := range p.groups {
				if !yield(group, nil) {
					return
				}
			}
			if p.last {
				left--
			}
		}
	}
}

// scan reads one segment of the table, page by page. It reads the next page only when the one before was taken.
func (t *table) scan(ctx context.Context, prefix string, segment int, pages chan<- page) {
	strong := t.consistent || t.written.any(time.Now())
	in := &driver.ScanInput{
		TableName: &t.name, ConsistentRead: &strong,
		Segment: aws.Int32(int32(segment)), TotalSegments: aws.Int32(int32(t.segments)),
		ProjectionExpression:     aws.String("#pk"),
		ExpressionAttributeNames: map[string]string{"#pk": t.attr.Partition},
	}
	if prefix != "" {
		in.FilterExpression = aws.String("begins_with(#pk, :prefix)")
		in.ExpressionAttributeValues = item{":prefix": text(prefix)}
	}
	before := ""
	for scan := driver.NewScanPaginator(t.client, in); ; {
		var p page
		out, err := scan.NextPage(ctx)
		if p.err = err; err == nil {
			for _, it := range out.Items {
				// The items of a group follow each other.
				if pk, ok := it[t.attr.Partition].(*types.AttributeValueMemberS); ok && pk.Value != before {
					before = pk.Value
					p.groups = append(p.groups, before)
				}
			}
		}
		p.last = err != nil || !scan.HasMorePages()
		select {
		case pages <- p:
		case <-ctx.Done():
			return
		}
		if p.last {
			return
		}
	}
}
