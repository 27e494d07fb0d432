package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/redis/rueidis"

	"github.com/larder-go/larder/internal/errno"
)

// fault adds to err where and at what it failed; of nil, nil.
func (t *table) fault(doing string, err error) error {
	if err == nil {
		return nil
	}
	if why := t.explain(err); why != "" {
		err = &explained{why, err}
	}
	return fmt.Errorf("redis at %s: %s: %w", t.conn, doing, err)
}

// explained is an error with another text.
type explained struct {
	text string
	err  error
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.err }

// explain returns a sentence for whoever sets up the store; "": that of err will do.
func (t *table) explain(err error) string {
	var unknown *net.DNSError
	var refused *net.OpError
	said, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "ERR "), "\n")
	lacking := fmt.Sprintf("the user lacks a permission (%s); what is needed, on keys %s*, stands in the documentation of package redis", said, t.prefix)
	switch word, _, _ := strings.Cut(said, " "); word {
	case "WRONGPASS":
		return "the server knows no such user with this password (WRONGPASS)"
	case "NOAUTH":
		return "the server wants a user's name or a password, and none was given (NOAUTH)"
	case "NOPERM":
		return lacking
	case "MOVED":
		return "the server belongs to a Cluster (MOVED); use redis+cluster://, or a client for a Cluster"
	case "READONLY":
		return "the server is a replica, and only its master takes writes (READONLY)"
	}
	switch {
	case errors.Is(err, rueidis.ErrClosing):
		return "the store or its client is closed"
	case errors.As(err, &unknown) && unknown.IsNotFound:
		return fmt.Sprintf("there is no host %s", unknown.Name)
	case errors.As(err, &refused) && errors.Is(err, errno.ECONNREFUSED):
		return fmt.Sprintf("nothing listens at %s (connection refused)", refused.Addr)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "the server did not answer in time"
	case errors.Is(err, rueidis.ErrNoCache):
		return "the server does not tell this user of changes, so Near must be 0: " + said
	case strings.HasPrefix(said, "The user executing the script"), strings.HasPrefix(said, "ACL failure in script"):
		return lacking
	case strings.HasPrefix(said, "unknown command"):
		return "the server lacks a command; Redis 7, Valkey or Dragonfly is needed: " + said
	case strings.HasPrefix(said, "received unknown message type"):
		return "what answers there does not speak Redis' protocol"
	}
	return ""
}
