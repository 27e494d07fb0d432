//go:build unix

package integration

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// command is the larder command, built once in a folder that outlives the tests.
var command = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "larder-command-")
	if err != nil {
		return "", err
	}
	atEnd = append(atEnd, func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "larder.exe")
	build := exec.Command("go", "build", "-o", path, ".")
	build.Dir = filepath.Join("..", "cmd", "larder")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// serving is a larder serve in a process of its own.
type serving struct {
	url string
	cmd *exec.Cmd
}

// larderServe starts one at a free port; it is ended, and must end well, with the test.
func larderServe(t *testing.T, args ...string) *serving {
	t.Helper()
	path, err := command()
	if err != nil {
		t.Fatal(err)
	}
	s := &serving{cmd: exec.Command(path, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)}
	s.cmd.Env = append(os.Environ(), "NO_PROXY=*")
	var errs bytes.Buffer
	s.cmd.Stderr = &errs
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	t.Cleanup(func() {
		s.cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(20*time.Second, func() { s.cmd.Process.Kill() })
		defer kill.Stop()
		if err := s.cmd.Wait(); err != nil || errs.Len() > 0 {
			t.Errorf("larder serve: %v, %s", err, errs.String())
		}
	})
	_, at, found := strings.Cut(strings.TrimSpace(line), " at ")
	if err != nil || !found {
		t.Fatal(errors.New("larder serve does not tell where it listens: " + line))
	}
	s.url = at
	return s
}
