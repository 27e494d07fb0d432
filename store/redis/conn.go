package redis

import "context"

// Conn is what a Store needs of a Redis client other than rueidis: see [NewStore], and package goredis in the folder
// below. Its methods are safe for concurrent use.
type Conn interface {
	// Do sends a command to the server that holds its key, and returns the answer: nil, int64, float64, string or
	// []byte, or a []any of these; a map is a list of keys and values in turn. If the answer is an error, the text of
	// the error that is returned begins with the server's: "NOSCRIPT …".
	Do(ctx context.Context, c Command) (any, error)

	// Masters returns a Conn for each server that holds some of the keys, replicas excepted.
	Masters(ctx context.Context) ([]Conn, error)

	// String says where the server is, without a secret.
	String() string
}

// Command is one command for a server.
type Command struct {
	Name []string // "HGETALL", or all words before the key
	Key  string   // "": the command has none
	Args []string // what follows the key
	Read bool     // it changes nothing
	Once bool     // it must not be sent again when the connection breaks, since it may have been carried out
}
