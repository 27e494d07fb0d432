package redis

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/rueidis"
)

// server is a redis-server of a test's own, which may be stopped and started again, without its data.
type server struct {
	t    testing.TB
	addr string
	args []string
	cmd  *exec.Cmd
}

// serve starts a server, with arguments after the usual ones. It ends with the test.
func serve(t testing.TB, args ...string) *server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not installed: nothing was tested on a server of the test's own")
	}
	s := &server{t: t, addr: freeAddr(t)}
	_, port, _ := net.SplitHostPort(s.addr)
	s.args = append([]string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir(),
		"--logfile", filepath.Join(t.TempDir(), "log")}, args...)
	s.start()
	t.Cleanup(s.stop)
	return s
}

func freeAddr(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (s *server) start() {
	s.t.Helper()
	s.cmd = exec.Command("redis-server", s.args...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "redis-server listens at "+s.addr, func() bool {
		c, err := net.DialTimeout("tcp", s.addr, time.Second)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func (s *server) stop() {
	if s.cmd != nil {
		s.cmd.Process.Kill()
		s.cmd.Wait()
		s.cmd = nil
	}
}

func (s *server) url() string { return "redis://" + s.addr }

// admin returns a client that may do everything.
func (s *server) admin() rueidis.Client {
	s.t.Helper()
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{s.addr}, ForceSingleClient: true, DisableCache: true})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	return c
}

// command has a command carried out, whose name is one word.
func command(t testing.TB, c rueidis.Client, words ...string) {
	t.Helper()
	if err := c.Do(context.Background(), c.B().Arbitrary(words...).Build()).Error(); err != nil {
		t.Fatalf("%s: %v", fmt.Sprint(words), err)
	}
}
