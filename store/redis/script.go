package redis

import (
	"context"
	_ "embed"
	"strings"

	"github.com/larder-go/larder/store/chunked"
)

// A script runs on the server as one step, on one key. It returns 1, or 0 if its condition does not hold.
type script struct{ text, sha1 string }

// The digests stand here since where only FIPS 140 is allowed SHA-1 must not be computed.
var (
	//go:embed putrow.lua
	putRowText string
	putRow     = script{putRowText, "f6b5857fa772c9b4db268f5fa87dc13c9c4caab0"}

	//go:embed putmark.lua
	putMarkText string
	putMark     = script{putMarkText, "e5be535b046c9d79343646f7cece5580b9ef79fe"}
)

var conditions = map[chunked.When]string{chunked.Always: "always", chunked.IfPresent: "present", chunked.IfAbsent: "absent"}

// run has a script run, which the server forgets when it starts anew.
func (t *table) run(ctx context.Context, s script, key string, args ...string) (any, error) {
	v, err := t.conn.Do(ctx, Command{Name: []string{"EVALSHA", s.sha1, "1"}, Key: key, Args: args})
	if err != nil && strings.HasPrefix(err.Error(), "NOSCRIPT") {
		v, err = t.conn.Do(ctx, Command{Name: []string{"EVAL", s.text, "1"}, Key: key, Args: args})
	}
	return v, err
}
