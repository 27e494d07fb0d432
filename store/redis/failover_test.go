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

	"github.com/larder-go/larder"
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
