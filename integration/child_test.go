package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// children are what the test binary does instead of testing when it is started with the name of one in the
// environment: parts of tests that want a process of their own. What one returns, its parent gets, as JSON.
var children = map[string]func(args []string) (any, error){
	"writers": writersChild,
}

// atEnd is done when all tests are over.
var atEnd []func()

const childVar = "LARDER_INTEGRATION_CHILD"

func TestMain(m *testing.M) {
	child := children[os.Getenv(childVar)]
	if child == nil {
		code := m.Run()
		for _, do := range atEnd {
			do()
		}
		os.Exit(code)
	}
	result, err := child(os.Args[1:])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(result)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// runChild runs one of the children in a process of its own, with further variables in its environment, and decodes
// what it returns into result. It may be called by any goroutine.
func runChild(t *testing.T, result any, env []string, name string, args ...string) error {
	return runChildWith(t, result, nil, env, name, args...)
}

// runChildWith is runChild with what the system lets be set.
func runChildWith(t *testing.T, result any, attr *syscall.SysProcAttr, env []string, name string, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(append(os.Environ(), childVar+"="+name), env...)
	cmd.SysProcAttr = attr
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("child process %s %q: %w", name, args, err)
	}
	return json.Unmarshal(out, result)
}
