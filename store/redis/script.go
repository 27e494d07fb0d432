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
	putRow     = script{putRowText, "efe0a9c1a9e8e82e26f72583325a9d7db33b2f62"}

	//go:embed putmark.lua
	putMarkText string
	putMark     = script{putMarkText, "733287ab3dfdbfa2659f4685cc591db94c80ceed"}

	//go:embed evicts.lua
	evictsText string
	evicts     = script{evictsText, "7760380ad1919165fb839e95d8ec94e5f53ac706"}
)

var conditions = map[chunked.When]string{chunked.Always: "always", chunked.IfPresent: "present", chunked.IfAbsent: "absent"}

// run has a script run, which the server forgets when it starts anew.
func (t *table) run(ctx context.Context, s script, when chunked.When, key string, args ...string) (any, error) {
	c := Command{Name: []string{"EVALSHA", s.sha1, "1"}, Key: key, Args: append(args, conditions[when]), Once: when == chunked.IfAbsent}
	v, err := t.conn.Do(ctx, c)
	if err != nil && strings.HasPrefix(err.Error(), "NOSCRIPT") {
		c.Name = []string{"EVAL", s.text, "1"}
		v, err = t.conn.Do(ctx, c)
	}
	return v, err
}
