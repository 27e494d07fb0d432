// Package dynamodb keeps responses in a DynamoDB table, by the AWS SDK for Go, version 2. Any number of programs on any number of
// machines may share it.
//
//	s, err := dynamodb.Open(ctx, "dynamodb://larder?region=eu-west-1&create=true", nil)
//	client := (&larder.Cache{Store: s}).Client()
//
// New takes a client that the program has already. The credentials are those that the SDK finds, or Options.Config has;
// none are given in the URL.
//
// # Layout
//
// Package store/chunked makes the records, the pieces of bodies and the rest into rows, each with a group, an item, a value and
// an expiry; its comment says what they are. A row is an item of the table:
//
//	pk       S  partition key: the group, r/DIGEST, b/DIGEST/ID, i/u/HASH, i/t/HASH/D or l/DIGEST
//	sk       S  sort key: the item
//	value    B  the value; an empty one is left out
//	expires  N  when the row expires, in seconds since 1970, rounded up: the table's time to live; left out: never
//	until    N  the same in milliseconds, for the condition that a lease is taken under
//
// Options.Attributes are other names for these. The records of one key are in one partition, so a hit on a small response is one
// Query, whatever the number of variants. A piece of a body is an item of 256 KiB (Options.Chunk, 350 KiB at
// most), read by GetItem, several at once (Options.Parallel): that an item has 400 KB at most is no limit to bodies. It
// is one to a response's head: with more than that, a response is not stored, and the error wraps store.ErrTooLarge.
//
// # The table
//
// Options.Create, create=true in the URL, or Store.CreateTable make it: paid for by the request, with the time to live switched on.
// Elsewhere it is made by
//
//	aws dynamodb create-table --table-name larder --billing-mode PAY_PER_REQUEST \
//	    --attribute-definitions AttributeName=pk,AttributeType=S AttributeName=sk,AttributeType=S \
//	    --key-schema AttributeName=pk,KeyType=HASH AttributeName=sk,KeyType=RANGE
//	aws dynamodb update-time-to-live --table-name larder \
//	    --time-to-live-specification Enabled=true,AttributeName=expires
//
// # Expiry
//
// DynamoDB removes what has expired by itself and at no charge, within days; until then larder knows that it has expired. So
// nothing needs Sweep but what was stored without an end, and what remains of a write of such a thing that was cut off. There is
// no limit to the size of the table.
//
// A server that does not know the time to live, as dynalite, is used without it: Open goes on, CreateTable returns
// ErrNoTimeToLive, and only Sweep removes what has expired.
//
// # What is read when
//
// Reads are eventually consistent, at half the price, unless Options.Consistent is set. A process reads what it has written
// itself strongly consistently for the next seconds, so it sees its own writes at once, and so it does with leases and what it
// knows must be there. But for a moment, as a rule less than a second, it may not see what another process has stored, which is
// a miss, and may see what another has removed or superseded. Who cannot have that wants Options.Consistent. What an unsafe
// request makes invalid is looked for strongly consistently, and so removed whoever stored it a moment before. A body is never mixed with another: its pieces are found by the random id of their record.
//
// # What it costs
//
// A hit on a response of 4 KB with its head is half a read unit, on 1 MB some 130 units; twice that if strongly consistent.
// Storing a response takes a write unit for each KB, and one for each entry in an index: one for the URL and one
// for each tag. What supersedes a body pays for its removal too, a write unit for each KB of it; what expires does not.
//
// Find by Key, URL and Tag reads what it finds. Find by anything else, Size and Sweep Scan the table (Sweep three times), in
// Options.Segments parts at once: that is paid for by the size of all that is stored, bodies included, half a read unit for each
// 4 KB: 10 GB are 1.3 million units. It takes capacity that others may want, if the table has a limit.
//
// # When something is wrong
//
// Errors name the table, and the endpoint or the region. The client that Open makes waits for half a second to be connected, for
// a second for TLS, and for 5 s for an answer; larder.Cache gives up before, at its StoreTimeout. What is throttled, failed in the
// server or was cut off is tried again, up to 8 times in all and as long as the context lasts, after random waits of up to 25 ms,
// 50 ms and so on to 1 s. Refused connections, unknown hosts and answers that do not come are not tried again. A
// client of one's own keeps its own retries, and with the SDK's defaults waits for seconds where nobody listens. What a batch leaves
// undone is asked for again with every client, with the same waits.
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
// The checksums find accidents, not forgery: who can write to the table can put any response there; see package sealed. Machines
// whose clocks differ disagree by as much on when a lease has ended. A lease whose taking was cut off, each time that it was tried, may
// be held by nobody until it ends.
package dynamodb
