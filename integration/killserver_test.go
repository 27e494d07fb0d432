//go:build unix

package integration

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/larder-go/larder"
)

// ownServers say, for each store that needs a server, how the shell starts one that keeps its data in the folder $DIR
// and listens at $PORT, and which variable and address make it that of the store. No process of it outlives it when it is
// killed: Redis has none that rewrites its log.
var ownServers = map[string]struct{ command, env, address string }{
	"redis": {`exec redis-server --port $PORT --bind 127.0.0.1 --dir "$DIR" --save "" --appendonly yes --auto-aof-rewrite-percentage 0 --logfile "$DIR/log"`,
		"REDIS_URL", "redis://%s/0"},
	"mongodb":  {os.Getenv("MONGODB_COMMAND"), "MONGODB_URI", "mongodb://%s/?maxPoolSize=1"},
	"dynamodb": {os.Getenv("DYNAMODB_COMMAND"), "DYNAMODB_ENDPOINT", "http://%s"},
}

// TestKilledServer kills the server of a store while it is in use. Callers get what the origin says all the same, and
// when the server is back, whatever is visible is whole.
func TestKilledServer(t *testing.T) {
	for _, kind := range []string{"redis", "mongodb", "dynamodb"} {
		t.Run(kind, func(t *testing.T) {
			slower := map[string]int{"redis": 5, "mongodb": 25, "dynamodb": 25}[kind]
			own := ownServers[kind]
			if _, err := exec.LookPath("redis-server"); own.command == "" || kind == "redis" && err != nil {
				t.Skipf("not tested: nothing says how to start a server of the test's own for %s", kind)
			}
			dir := t.TempDir()
			srv := &ownServer{t: t, command: own.command, dir: t.TempDir(), addr: freeAddr(t)}
			srv.open = func() (closer, error) { return openStore(kind, dir) }
			t.Cleanup(srv.kill)
			t.Setenv(own.env, fmt.Sprintf(own.address, srv.addr))
			srv.start()
			var found afterwards
			var broken int
			for round := range (*kills + slower - 1) / slower {
				broken += killUnder(t, srv, kind, dir, round, time.Duration(slower)*30*time.Millisecond)
				srv.start()
				found.look(t, kind, dir, pages/slower, fmt.Sprintf("kill %d of seed %d", round, *killSeed))
				if t.Failed() {
					return
				}
			}
			t.Logf("%v; %d stored bodies broke off", &found, broken)
			if found.records == 0 {
				t.Error("nothing was tested")
			}
		})
	}
}

// killUnder kills the server while callers ask, who go on without it for a while. It returns how many stored bodies
// broke off with it, which is an error to their readers.
func killUnder(t *testing.T, srv *ownServer, kind, dir string, round int, within time.Duration) (broken int) {
	s, err := openStore(kind, dir)
	if err != nil {
		t.Fatal(err)
	}
	cache := &larder.Cache{Store: s, Base: startOrigin(round)}
	enough, stop := context.WithCancel(t.Context())
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			random := rand.New(rand.NewPCG(*killSeed, uint64(round)<<8|uint64(i)))
			for enough.Err() == nil {
				switch err := requestSomething(cache, killedOrigin, random); {
				case errors.As(err, new(brokenOff)):
					mu.Lock()
					broken++
					mu.Unlock()
				case err != nil:
					t.Error(err)
				}
			}
		})
	}
	random := rand.New(rand.NewPCG(*killSeed, uint64(round)))
	<-time.After(within + time.Duration(random.Int64N(int64(within))))
	srv.kill()
	<-time.After(200 * time.Millisecond)
	stop()
	all.Wait()
	if st := cache.Stats(); st.StoreFailures == 0 {
		t.Errorf("that the server is gone is not told of: %+v", st)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := cache.Close(ctx); err != nil {
		t.Errorf("background work goes on: %v", err)
	}
	s.Close() // cannot say good-bye
	return broken
}

// ownServer is a server of a test's own.
type ownServer struct {
	t                  *testing.T
	command, dir, addr string
	open               func() (closer, error) // a store in it
	cmd                *exec.Cmd
}

func freeAddr(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (s *ownServer) start() {
	s.t.Helper()
	_, port, _ := net.SplitHostPort(s.addr)
	s.cmd = exec.Command("sh", "-c", s.command)
	s.cmd.Env = append(os.Environ(), "PORT="+port, "DIR="+s.dir)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for began := time.Now(); ; <-time.After(10 * time.Millisecond) {
		store, err := s.open()
		if err == nil {
			store.Close()
			return
		}
		if time.Since(began) > 30*time.Second {
			s.t.Fatalf("the server does not answer: %v", err)
		}
	}
}

func (s *ownServer) kill() {
	if s.cmd != nil {
		s.cmd.Process.Kill()
		s.cmd.Wait()
		s.cmd = nil
	}
}
