// Package redis keeps responses in Redis: a single server, a Cluster, or a master that Sentinels name. Valkey works as
// well. Dragonfly has the commands, and where its scripts see other values that is allowed for, but it was not tried.
//
//	s, err := redis.Open(ctx, "redis://user:password@host:6379/0?prefix=myprogram", nil)
//	client := (&larder.Cache{Store: s}).Client()
//
// New takes a rueidis client that the program has already, package goredis one of go-redis, and NewStore any other. The
// oldest version that is tested is Redis 7.0.
//
// # URLs
//
//	redis://[user:password@]host[:6379][/db]
//	redis+cluster://[user:password@]host[:6379],host…
//	redis+sentinel://[user:password@]host[:26379],host…/MASTER[/db]
//
// rediss, rediss+cluster and rediss+sentinel are the same over TLS 1.2 or newer. Special characters in a user's name or
// a password are percent-encoded, here and in options; a + is itself. Options may follow a question mark:
//
//	prefix=NAME                     Options.Prefix
//	max-body=64MiB, max-body=none   Options.MaxBody
//	near=16MiB                      Options.Near
//	cacert=FILE                     the certificates to trust, in place of the system's
//	cert=FILE&key=FILE              the certificate to show
//	sentinel-user=, sentinel-password=
//
// # Layout
//
// NAME is the prefix. Package chunked describes the rest of the names, and the values.
//
//	NAME:r:{DIGEST}     hash: ID      the records of one key
//	NAME:b:{DIGEST}:ID  hash: number  the body of a record, in pieces of 256 KiB
//	NAME:l:{DIGEST}     hash: l       a lease
//	NAME:i:u:HASH       sorted set    the records of a URL: DIGEST/ID
//	NAME:i:t:HASH:D     sorted set    the records of a tag: DIGEST/ID
//
// A value in a hash begins with its expiry in 15 decimal digits, in milliseconds since 1970, 0 for never; in a sorted
// set that is the score, and +inf for never. A key expires with the last of what is in it, and never if something in it
// does not. In a Cluster the braces keep what belongs to one key of the cache on one server.
//
// A hit on a small response is one HGETALL. Writing and removing is one script for each row, so that a row, its
// condition and the key's expiry change as one. Nothing holds the server up: keys are looked for with SCAN, 1000 at a
// time, on every master; indexes are read with ZSCAN, and pruned by 16 entries at a time when they grow; keys are
// removed with UNLINK. If more than 8 calls are under way, a client that Open has made sends those that come at the
// same time together.
//
// # Memory
//
// What is stored is in the server's memory until it expires (bodies an hour after their record) or is evicted. With the
// policy noeviction a full server refuses to store, and responses come from the origin. With maxmemory and any other
// policy Redis drops keys, which are whole bodies or records; allkeys-lru and allkeys-lfu drop those that are used
// least. Reading a body that is gone fails with store.ErrNotFound, and never ends early. larder's Sweep removes what
// interrupted writes have left.
//
// A server that evicts also drops indexes, those of the most used records first, since a hit does not touch them. So
// Find by URL or Tag asks the server for its policy (INFO). If that is not noeviction, or the user may not ask, it
// reads all records, as Find by anything but a Key does: some ten thousand a second. Each purge of a URL or a tag takes
// as long, and so does each invalidation of a cache group, which fails with an event if it takes longer than
// StoreTimeout. volatile-lru would spare indexes that never expire, but these pile up where nobody sweeps. If there are
// many records and such invalidations are frequent, use noeviction, with memory for all that is stored until it
// expires. Empty the database before you change the policy to noeviction.
//
// # Near
//
// With Options.Near the records that were looked up last stay in this process as well, and the server reports their
// changes (CLIENT TRACKING): a hit on a small response takes 1 or 2 µs instead of a round trip. This store sees its own
// changes at once, and those of others when the server's message arrives: usually within milliseconds, and if the
// connection hangs without breaking, within the 10 seconds that it takes to notice. When a connection breaks, all is
// forgotten. It is off by default, since each lookup that is not answered from memory then takes a little longer, and
// for the sake of programs that look at once for what another has stored.
//
// # When something is wrong
//
// Open asks for one key, so a wrong address, password, database or certificate is an error there, and so is a missing
// right to read. A missing right of another kind shows at the first use that needs it. A single server's URL for a node
// of a Cluster shows at the first use of a key that is elsewhere, at the latest. A connection that breaks is made anew
// at once, and the calls under way are sent again, except for taking and releasing leases. A call fails at once if the
// server refuses connections, and else at its deadline; connecting may take half a second for each address.
//
// What looks at all records of a Cluster (Find by neither Key, URL nor Tag, Sweep, Size) asks every master, and fails
// while one of them cannot be reached. It needs no replicas.
//
// A rueidis client that is given to New keeps its own settings. By default it repeats reads that a server refuses until
// the call's deadline; DisableRetry, or a RetryDelay that gives up, prevents that. A client that sends reads to
// replicas may miss what it has just stored.
//
// # Rights
//
// For the prefix larder these rights are enough. Add +cluster|slots +cluster|shards in a Cluster, +role behind
// Sentinels, +client|tracking for Near, and +select for a database other than 0:
//
//	ACL SETUSER cache on >PASSWORD ~larder:* +hgetall +hmget +hget +hexists +hset +hdel +zadd +zscore +zmscore
//	    +zrange +zrangebyscore +zscan +zrem +time +pttl +persist +pexpireat +unlink +scan +eval +evalsha +info
//
// # What is not safe
//
// The checksums find accidents, not forgery: whoever can write to the server can put any response there; see package
// sealed. A failover loses what the replica has not received yet: that costs hits, and never gives a wrong answer. A
// lease may then be held twice.
package redis
