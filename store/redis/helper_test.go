package redis

import (
	"context"
	"crypto/rand"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/redis/rueidis"
)

// env returns a variable by which tests find a server, and skips the test if it is not set.
func env(t testing.TB, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Skipf("%s is not set: nothing was tested on this server", name)
	}
	return value
}

// sites returns the URLs of all kinds of servers there are, by kind; at least one.
func sites(t testing.TB) map[string]string {
	t.Helper()
	all := map[string]string{"single": env(t, "REDIS_URL")}
	if url := os.Getenv("REDIS_TLS_URL"); url != "" {
		all["TLS and ACL"] = url + "?cacert=" + os.Getenv("REDIS_TLS_CA")
	}
	if hosts := os.Getenv("REDIS_CLUSTER"); hosts != "" {
		all["Cluster"] = "redis+cluster://" + hosts
	}
	if hosts := os.Getenv("REDIS_SENTINEL"); hosts != "" {
		all["Sentinel"] = "redis+sentinel://" + hosts + "/" + os.Getenv("REDIS_SENTINEL_MASTER")
	}
	return all
}

// onEachSite runs run with each kind of server; those that are not there are told of.
func onEachSite(t *testing.T, run func(t *testing.T, url string)) {
	all := sites(t)
	for kind, name := range map[string]string{
		"single": "REDIS_URL", "TLS and ACL": "REDIS_TLS_URL", "Cluster": "REDIS_CLUSTER", "Sentinel": "REDIS_SENTINEL",
	} {
		t.Run(kind, func(t *testing.T) {
			if all[kind] == "" {
				env(t, name)
			}
			run(t, all[kind])
		})
	}
}

// newPrefix returns a prefix of this test's own. What is below it is removed when the test is done.
func newPrefix(t testing.TB, url string) string {
	t.Helper()
	prefix := "larder:test-" + strings.ToLower(rand.Text()) // larder:* is what the user of the TLS server may use
	t.Cleanup(func() { empty(t, url, prefix) })
	return prefix
}

// empty removes all groups below a prefix.
func empty(t testing.TB, url, prefix string) {
	s, tab := openTable(t, url, &Options{Prefix: prefix})
	defer s.Close()
	ctx := context.Background()
	for group, err := range tab.Groups(ctx, "") {
		if err == nil {
			err = tab.Delete(ctx, group)
		}
		if err != nil {
			t.Errorf("clean up %s: %v", prefix, err)
			return
		}
	}
}

// openTable opens a store, and returns its table as well.
func openTable(t testing.TB, url string, o *Options) (*Store, *table) {
	t.Helper()
	s, err := Open(context.Background(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	return s, s.table
}

// newTable opens a table that is closed with the test.
func newTable(t testing.TB, url string) *table {
	t.Helper()
	s, tab := openTable(t, url, &Options{Prefix: newPrefix(t, url)})
	t.Cleanup(func() { s.Close() })
	return tab
}

// raw returns a client behind the store's back.
func raw(t testing.TB, url string) rueidis.Client {
	t.Helper()
	opts, _, err := parse(url, Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := rueidis.NewClient(tuned(opts))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// do sends a command behind the store's back.
func do(t testing.TB, c rueidis.Client, words ...string) any {
	t.Helper()
	v, err := client{c}.Do(context.Background(), Command{Name: words[:1], Key: words[1], Args: slices.Clone(words[2:])})
	if err != nil {
		t.Fatalf("%s: %v", words[0], err)
	}
	return v
}
