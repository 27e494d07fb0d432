package redis

import (
	"context"
	_ "embed"
	"strings"

	"github.com/larder-go/larder/store/chunked"
)

// script is run by the server as one step, on one key.
type script struct{ text, sha1 string }

// The digests are constants, since SHA-1 must not be computed where only FIPS 140 is allowed.
var (
	//go:embed endrow.lua
	endRowText string
	//go:embed putrow.lua
	putRowText string
	//go:embed droprow.lua
	dropRowText string
	putRow      = script{endRowText + putRowText, "2d30cd99bdfff418c1afb20b0009fb352cde2edb"} // returns 1, or 0 if its condition does not hold
	dropRow     = script{endRowText + dropRowText, "a19a8685888eff92589619593f973ca1c9bc8204"}

	//go:embed endmark.lua
	endMarkText string
	//go:embed putmark.lua
	putMarkText string
	//go:embed dropmark.lua
	dropMarkText string
	putMark      = script{endMarkText + putMarkText, "9af74d7699a0c9ecafd574fc37b68c4877339485"} // as putRow
	dropMark     = script{endMarkText + dropMarkText, "217d70c608637490a3753775a499be15faadfe56"}

	//go:embed evicts.lua
	evictsText string
	evicts     = script{evictsText, "7760380ad1919165fb839e95d8ec94e5f53ac706"}
)

var conditions = map[chunked.When]string{chunked.Always: "always", chunked.IfPresent: "present", chunked.IfAbsent: "absent"}

// run runs a script on the server, which forgets it at a restart and is then sent the text.
func (t *table) run(ctx context.Context, s script, once bool, key string, args ...string) (any, error) {
	c := Command{Name: []string{"EVALSHA", s.sha1, "1"}, Key: key, Args: args, Once: once}
	v, err := t.conn.Do(ctx, c)
	if err != nil && strings.HasPrefix(err.Error(), "NOSCRIPT") {
		c.Name = []string{"EVAL", s.text, "1"}
		v, err = t.conn.Do(ctx, c)
	}
	return v, err
}
