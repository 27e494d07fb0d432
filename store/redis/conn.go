package redis

import "context"

// Conn is what a Store needs of a Redis client, for clients other than rueidis: see [NewStore], and package goredis in
// the folder below. Its methods are safe for concurrent use.
type Conn interface {
	// Do has a command carried out by the server that holds its key, and returns the answer: nil, int64, float64,
	// string or []byte, or a []any of these; a map is a list in which keys and values take turns. An answer that is
	// an error is returned as one whose text begins with the server's: "NOSCRIPT …".
	Do(ctx context.Context, c Command) (any, error)

	// Masters returns a Conn for each server that holds some of the keys.
	Masters(ctx context.Context) ([]Conn, error)

	// String says where the server is, without a secret.
	String() string
}

// Command is one command for a server.
type Command struct {
	Name []string // "HGETALL", or all that stands before the key
	Key  string   // the only one; "": none
	Args []string // what follows the key
	Read bool     // it changes nothing
	Once bool     // it must not be sent again when the connection breaks: it may have been carried out
}
