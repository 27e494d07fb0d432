// Package redis keeps responses in Redis: a single server, a Cluster, or a master that Sentinels name. Valkey does as
// well; Dragonfly has the commands, and what its scripts get otherwise is allowed for, but it was not tried.
//
//	s, err := redis.Open(ctx, "redis://user:password@host:6379/0?prefix=myprogram", nil)
//	client := (&larder.Cache{Store: s}).Client()
//
// New takes a rueidis client that is there already, package goredis one of go-redis, and NewStore any other. Redis 7.0
// is the oldest that is tested.
//
// # URLs
//
//	redis://[user:password@]host[:6379][/db]
//	redis+cluster://[user:password@]host[:6379],host…
//	redis+sentinel://[user:password@]host[:26379],host…/MASTER[/db]
//
// rediss, rediss+cluster and rediss+sentinel are the same by TLS 1.2 or newer. What is special in a user's name or a
// password is percent-encoded, there and in options; a + is itself. After a question mark may follow
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
// NAME is the prefix; the rest of the names, and what is in a value, is told by package chunked.
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
// removed with UNLINK. Where more than 8 calls are under way, a client that Open has made sends those that come
// together in one go.
//
// # Memory
//
// What is stored is in the server's memory until it expires, bodies an hour after their record, or is evicted. With the
// policy noeviction a full server refuses to store, and the responses come from the origin. With maxmemory and any
// other policy Redis drops keys, as allkeys-lru and allkeys-lfu those that are used least, whole bodies or records; of
// a body that is gone, reading fails with store.ErrNotFound, and never ends early. larder's own Sweep removes what
// interrupted writes have left.
//
// A server that evicts drops indexes as well, and first those of the records that are used most, since a hit does not
// touch them. So Find by URL or Tag asks the server for its policy (INFO), and with another than noeviction, or without
// the right to ask, it reads all records, as Find by anything but a Key does. That is some ten thousand a second; as
// long takes each purge of a URL or a tag, and each invalidation of a cache group, which fails, and is told of, if it
// takes longer than StoreTimeout. Indexes that never expire would be spared by volatile-lru, but pile up where nobody
// sweeps. Where there are many records and such invalidations are frequent, take noeviction, and memory for what is
// stored until it expires. Who changes the policy to noeviction empties the database first.
//
// # Near
//
// With Options.Near the records that were looked up last stay in this process as well, and the server tells of their
// changes (CLIENT TRACKING): a hit on a small response takes 1 µs or 2 in place of a round trip. What this store
// changes it sees at once. What others change it sees when the server's message has come, as a rule within
// milliseconds; if the connection hangs without breaking, within 10 seconds, the time it takes to notice. When a
// connection breaks, all is forgotten. It is off by default, since every look that is not answered from memory then
// takes a little longer, and for the sake of programs that look at once for what another has stored.
//
// # When something is wrong
//
// Open asks for one key, so a wrong address, password, database or certificate shows there, and a right to read that is
// missing; other rights show at the first use that needs them. A single server's URL for a node of a Cluster shows at
// the latest at the first use of a key that is elsewhere. A connection that breaks is made anew at once, and what was
// under way is sent again, but for taking a lease and giving one back; a server that refuses connections fails the call
// at once, and one that does not answer within the call's deadline, or within half a second while connecting (of
// several addresses, for each).
//
// What looks at all records of a Cluster (Find by neither Key, URL nor Tag, Sweep, Size) asks every master, and fails
// while one of them cannot be reached. Replicas it does not need.
//
// A rueidis client that is given to New has its own settings: with those by default it repeats reads of a server that
// refuses them until the call's deadline; DisableRetry, or a RetryDelay that gives up, prevents that. A client that
// sends reads to replicas may miss what it has just stored.
//
// # Rights
//
// These are enough, for the prefix larder; in a Cluster with +cluster|slots +cluster|shards, behind Sentinels with
// +role, for Near with +client|tracking, and for a database other than 0 with +select:
//
//	ACL SETUSER cache on >PASSWORD ~larder:* +hgetall +hmget +hget +hexists +hset +hdel +zadd +zscore +zmscore
//	    +zrange +zrangebyscore +zscan +zrem +time +pttl +persist +pexpireat +unlink +scan +eval +evalsha +info
//
// # What is not safe
//
// The checksums find accidents, not forgery: who can write to the server can put any response there; see package
// sealed. A server that fails over loses what its replica has not got yet: some hits, never a wrong answer. Leases may
// be held twice then.
package redis
