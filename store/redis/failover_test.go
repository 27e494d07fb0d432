package redis

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

// sentinels starts three that watch master, and waits until they agree on it.
func sentinels(t *testing.T, master, replica *server) (addrs []string) {
	t.Helper()
	if _, err := exec.LookPath("redis-sentinel"); err != nil {
		t.Skip("redis-sentinel is not installed: nothing was tested on Sentinels of the test's own")
	}
	host, port, _ := net.SplitHostPort(master.addr)
	for range 3 {
		addr := freeAddr(t)
		_, own, _ := net.SplitHostPort(addr)
		dir := t.TempDir()
		conf := filepath.Join(dir, "sentinel.conf")
		text := fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %s\nlogfile %s/log\nsentinel monitor main %s %s 2\n"+
			"sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n", own, dir, dir, host, port)
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("redis-sentinel", conf)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			cmd.Process.Kill()
			cmd.Wait()
		})
		addrs = append(addrs, addr)
	}
	for _, addr := range addrs {
		eventually(t, "the Sentinels know each other and the replica", func() bool {
			c, err := net.DialTimeout("tcp", addr, time.Second)
			if err != nil {
				return false
			}
			c.Close()
			admin := (&server{t: t, addr: addr}).admin()
			m, err := admin.Do(background, admin.B().Arbitrary("SENTINEL", "MASTER", "main").Build()).AsStrMap()
			admin.Close()
			return err == nil && m["num-other-sentinels"] == "2" && m["num-slaves"] == "1"
		})
	}
	follower := replica.admin()
	eventually(t, "the replica follows", func() bool {
		info, err := follower.Do(background, follower.B().Info().Section("replication").Build()).ToString()
		return err == nil && strings.Contains(info, "master_link_status:up")
	})
	return addrs
}

func TestMasterDies(t *testing.T) {
	if testing.Short() {
		t.Skip("Sentinels take 10 s to find each other")
	}
	for _, near := range []int64{0, 1 << 20} {
		t.Run(fmt.Sprint("near ", near), func(t *testing.T) {
			master := serve(t)
			replica := serve(t, "--replicaof", "127.0.0.1 "+master.addr[len("127.0.0.1:"):], "--repl-diskless-sync-delay", "0")
			addrs := sentinels(t, master, replica)
			st, err := Open(background, "redis+sentinel://"+addrs[0]+","+addrs[1]+","+addrs[2]+"/main", &Options{Near: near})
			if err != nil {
				t.Fatal(err)
			}
			defer st.Close()
			u := newUser(t, st, newOrigin(t), "")
			u.want("/1000/a", larder.Miss)
			u.want("/1000/a", larder.Hit)
			u.want("/300000/b", larder.Miss)
			first, second := master.admin(), replica.admin()
			eventually(t, "the replica has it all", func() bool {
				all, err := first.Do(background, first.B().Dbsize().Build()).ToInt64()
				replicated, err2 := second.Do(background, second.B().Dbsize().Build()).ToInt64()
				return err == nil && err2 == nil && replicated == all
			})
			master.stop()
			from := time.Now()
			slowest := time.Duration(0)
			eventually(t, "the cache goes on with the replica", func() bool {
				before := time.Now()
				u.get("/1000/new")
				back := u.get("/1000/new") == larder.Hit
				slowest = max(slowest, time.Since(before))
				return back
			})
			t.Logf("hits again after %v; the slowest two requests took %v", time.Since(from), slowest)
			if slowest > 3*time.Second {
				t.Errorf("two requests took %v while there was no master", slowest)
			}
			eventually(t, "what was stored before is used", func() bool { return u.get("/300000/b") == larder.Hit })
		})
	}
}

// cluster starts a Cluster of masters that share the slots, and waits until all of them know.
func cluster(t *testing.T, masters int, args ...string) (nodes []*server, admins []rueidis.Client) {
	t.Helper()
	for i := range masters {
		n := serve(t, append([]string{"--cluster-enabled", "yes", "--cluster-node-timeout", "1000"}, args...)...)
		nodes, admins = append(nodes, n), append(admins, n.admin())
		command(t, admins[i], "CLUSTER", "ADDSLOTSRANGE", fmt.Sprint(16384*i/masters), fmt.Sprint(16384*(i+1)/masters-1))
		command(t, admins[i], "CLUSTER", "SET-CONFIG-EPOCH", fmt.Sprint(i+1))
		meet(t, admins[i], nodes[0])
	}
	for _, c := range admins {
		eventually(t, "the Cluster is up", func() bool {
			info := told(t, c, "CLUSTER", "INFO")
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_slots_ok:16384")
		})
	}
	return nodes, admins
}

func meet(t *testing.T, c rueidis.Client, other *server) {
	t.Helper()
	host, port, _ := net.SplitHostPort(other.addr)
	command(t, c, "CLUSTER", "MEET", host, port)
}

// told returns the text that a command answers with.
func told(t *testing.T, c rueidis.Client, words ...string) string {
	t.Helper()
	s, err := c.Do(background, c.B().Arbitrary(words...).Build()).ToString()
	if err != nil {
		t.Fatalf("%s: %v", fmt.Sprint(words), err)
	}
	return s
}

// openClusterBy opens a store whose client reads CLUSTER SHARDS, as it does by itself with Redis 8 if it knows the
// version, or CLUSTER SLOTS.
func openClusterBy(t *testing.T, shards bool, node *server) *Store {
	t.Helper()
	st, err := Open(background, "redis+cluster://"+node.addr, &Options{Configure: func(o *rueidis.ClientOption) {
		o.AlwaysRESP2, o.ClusterOption.PreferClusterShards = !shards, shards
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

// listing does what looks at all records, and returns how that ends.
func listing(st *Store) map[string]error {
	ends := make(map[string]error)
	ends["Find"] = nil
	for _, err := range st.Find(background, store.Query{Host: "example.com"}) {
		ends["Find"] = err
	}
	_, ends["Sweep"] = st.Sweep(background, time.Now())
	_, _, ends["Size"] = st.Size(background)
	return ends
}

func TestListingTellsOfAMasterThatIsAway(t *testing.T) {
	if testing.Short() {
		t.Skip("the servers of a Cluster take seconds to find each other")
	}
	nodes, admins := cluster(t, 3, "--cluster-require-full-coverage", "no")
	fill(t, openClusterBy(t, false, nodes[0]), "https://example.com/", 10)
	nodes[2].stop()
	eventually(t, "it is taken for dead", func() bool { return strings.Contains(told(t, admins[0], "CLUSTER", "NODES"), "master,fail ") })
	for _, shards := range []bool{false, true} {
		st := openClusterBy(t, shards, nodes[0])
		for what, err := range listing(st) {
			if err == nil || !strings.Contains(err.Error(), nodes[2].addr) {
				t.Errorf("client by CLUSTER SHARDS %v: %s ends with %v", shards, what, err)
			}
		}
	}
}

func TestListingNeedsNoReplica(t *testing.T) {
	if testing.Short() {
		t.Skip("the servers of a Cluster take seconds to find each other")
	}
	nodes, admins := cluster(t, 1, "--repl-diskless-sync-delay", "0")
	replica := serve(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "1000")
	follower := replica.admin()
	meet(t, follower, nodes[0])
	id := told(t, admins[0], "CLUSTER", "MYID")
	eventually(t, "the replica follows", func() bool {
		return follower.Do(background, follower.B().Arbitrary("CLUSTER", "REPLICATE", id).Build()).Error() == nil
	})
	eventually(t, "the master knows", func() bool { return strings.Contains(told(t, admins[0], "CLUSTER", "NODES"), " slave ") })
	stores := make(map[bool]*Store)
	for _, shards := range []bool{false, true} {
		eventually(t, "the client knows of both", func() bool {
			stores[shards] = openClusterBy(t, shards, nodes[0])
			return len(stores[shards].table.conn.(*dialer).client.Load().Nodes()) == 2
		})
	}
	fill(t, stores[false], "https://example.com/", 10)
	replica.stop()
	for shards, st := range stores {
		for what, err := range listing(st) {
			if err != nil {
				t.Errorf("client by CLUSTER SHARDS %v: %s: %v", shards, what, err)
			}
		}
	}
}
