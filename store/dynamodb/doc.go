// Package dynamodb keeps responses in a DynamoDB table, with the AWS SDK for Go, version 2. Any number of programs on
// any number of machines may share it.
//
//	s, err := dynamodb.Open(ctx, "dynamodb://larder?region=eu-west-1&create=true", nil)
//	client := (&larder.Cache{Store: s}).Client()
//
// New takes a client that the program has already. The credentials are those that the SDK finds, or that Options.Config
// has; the URL has none.
//
// # Layout
//
// Package store/chunked makes rows of records, the pieces of bodies and the rest. Its comment says what a row's group,
// item, value and expiry are. A row is an item of the table:
//
//	pk       S  partition key: the group, r/DIGEST, b/DIGEST/ID, i/u/HASH, i/t/HASH/D or l/DIGEST
//	sk       S  sort key: the item
//	value    B  the value; an empty one is left out
//	expires  N  when the row expires, in seconds since 1970, rounded up: the table's time to live; left out: never
//	until    N  the same in milliseconds, for the condition that a lease is taken under
//
// Options.Attributes gives them other names. The records of one key are in one partition, so a hit on a small response
// is one Query, whatever the number of variants. A piece of a body is an item of 256 KiB (Options.Chunk, 350 KiB at
// most), read by GetItem, several at once (Options.Parallel). So DynamoDB's limit of 400 KB for an item does not limit
// bodies. It does limit the head of a response: with a larger one, a response is not stored, and the error wraps
// store.ErrTooLarge.
//
// # The table
//
// Options.Create, create=true in the URL, or Store.CreateTable make it: billed by request, with the time to live
// switched on. By hand it is made so:
//
//	aws dynamodb create-table --table-name larder --billing-mode PAY_PER_REQUEST \
//	    --attribute-definitions AttributeName=pk,AttributeType=S AttributeName=sk,AttributeType=S \
//	    --key-schema AttributeName=pk,KeyType=HASH AttributeName=sk,KeyType=RANGE
//	aws dynamodb update-time-to-live --table-name larder \
//	    --time-to-live-specification Enabled=true,AttributeName=expires
//
// # Expiry
//
// DynamoDB removes what has expired by itself and at no charge, within days; until then larder sees that it has
// expired. So Sweep is needed only for what was stored without an end, and for what remains of such a write if it was
// cut off. There is no limit to the size of the table.
//
// A server that does not know the time to live, such as dynalite, is used without it: Open goes on, CreateTable returns
// ErrNoTimeToLive, and only Sweep removes what has expired.
//
// # What is read when
//
// Reads are eventually consistent, at half the price, unless Options.Consistent is set. Three things are always read
// strongly consistently: for some seconds, what the process has written itself, so that it sees its own writes at once;
// leases; and what must be there. So for a moment, usually less than a second, a process may not see what another has
// stored, which is a miss, and may see what another has removed or superseded. If that is not acceptable, set
// Options.Consistent. What an unsafe request makes invalid is looked for strongly consistently, and so is removed even
// if another process stored it a moment before. A body is never mixed with another: its pieces are found by the random
// id of their record.
//
// # What it costs
//
// A hit on a response of 4 KB with its head is half a read unit, and on one of 1 MB some 130 units; twice that if
// strongly consistent. Storing a response takes a write unit for each KB, and one for each entry in an index: one for
// the URL and one for each tag. Superseding a body also takes a write unit for each KB of it; letting it expire takes
// none.
//
// Find by Key, URL and Tag reads what it finds. Find by anything else, Size and Sweep scan the table (Sweep three
// times), in Options.Segments parts at once. A scan costs half a read unit for each 4 KB of all that is stored, bodies
// included: 1.3 million units for 10 GB. If the table has a limit, a scan takes capacity that others may want.
//
// # When something is wrong
//
// Errors name the table, and the endpoint or the region. The client that Open makes waits half a second for a
// connection, a second for TLS, and 5 s for an answer; larder.Cache gives up earlier, at its StoreTimeout. A request
// that is throttled, fails in the server or is cut off is tried again, up to 8 times in all and as long as the context
// lasts, after random waits of up to 25 ms, 50 ms and so on to 1 s. A request is not tried again if the connection is
// refused, the host is unknown or no answer comes. A client given to New keeps its own retries; with the SDK's defaults
// it waits for seconds where nobody listens. With any client, what a batch leaves undone is asked for again, after the
// same waits.
//
// # Permissions
//
// The second statement is for Options.Create and CreateTable alone.
//
//	{
//	  "Version": "2012-10-17",
//	  "Statement": [
//	    {
//	      "Effect": "Allow",
//	      "Action": ["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:Scan",
//	                 "dynamodb:PutItem", "dynamodb:BatchWriteItem"],
//	      "Resource": "arn:aws:dynamodb:REGION:ACCOUNT:table/larder"
//	    },
//	    {
//	      "Effect": "Allow",
//	      "Action": ["dynamodb:DescribeTable", "dynamodb:CreateTable",
//	                 "dynamodb:DescribeTimeToLive", "dynamodb:UpdateTimeToLive"],
//	      "Resource": "arn:aws:dynamodb:REGION:ACCOUNT:table/larder"
//	    }
//	  ]
//	}
//
// # What is not safe
//
// The checksums find accidents, not forgery: whoever can write to the table can put any response there; see package
// sealed. Machines whose clocks differ disagree by as much on when a lease has ended. If every attempt to take a lease
// was cut off, it may be taken with nobody holding it, until it ends.
package dynamodb
