package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/conformance/suite"
	"github.com/larder-go/larder/proxy"
)

// target is a cache under test, ready for requests.
type target struct {
	cache   suite.Cache
	private bool
	stop    func() error
}

const (
	shared              = "shared"  // larder serve
	private             = "private" // larder serve --private
	roundTripperShared  = "roundtripper-shared"
	roundTripperPrivate = "roundtripper-private"
	all                 = "all"
)

var targets = []string{shared, private, roundTripperShared, roundTripperPrivate}

// start starts what against names, in front of the origin.
func start(ctx context.Context, o *options, against, origin string, stderr io.Writer) (*target, error) {
	switch against {
	case shared, private:
		return serve(ctx, o, against == private, origin, stderr)
	case roundTripperShared, roundTripperPrivate:
		base := proxy.NewTransport(proxy.TransportOptions{}) // as of larder serve: http.Transport refuses some responses
		cache := &larder.Cache{Base: base, Shared: against == roundTripperShared}
		return &target{
			cache:   suite.Cache{Transport: cache, URL: origin, Direct: true},
			private: !cache.Shared,
			stop: func() error {
				defer base.CloseIdleConnections()
				ctx, cancel := context.WithTimeout(context.Background(), stopTime)
				defer cancel()
				return cache.Close(ctx)
			},
		}, nil
	}
	u, err := url.Parse(against)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("-against %s: want %s, or an http URL", against, strings.Join(targets, ", "))
	}
	return proxied(strings.TrimSuffix(against, "/"), o.private, func() error { return nil }), nil
}

// proxied is the target at a proxy's URL.
func proxied(url string, private bool, stop func() error) *target {
	transport := suite.Connect()
	return &target{
		cache:   suite.Cache{Transport: transport, URL: url},
		private: private,
		stop: func() error {
			transport.CloseIdleConnections()
			return stop()
		},
	}
}

// serve starts larder serve in front of the origin. It is over when stop has returned.
func serve(ctx context.Context, o *options, private bool, origin string, stderr io.Writer) (*target, error) {
	dir, err := os.MkdirTemp("", "conformance")
	if err != nil {
		return nil, err
	}
	command := o.larder
	if command == "" {
		command = filepath.Join(dir, "larder")
		build := exec.CommandContext(ctx, "go", "build", "-o", command, "github.com/larder-go/larder/cmd/larder")
		build.Stderr = stderr
		if err := build.Run(); err != nil {
			os.RemoveAll(dir)
			return nil, fmt.Errorf("building the command (-larder FILE names one that is built): %w", err)
		}
	}
	args := []string{"serve", "--store", o.store, "--origin", origin, "--listen", "127.0.0.1:0"}
	if private {
		args = append(args, "--private")
	}
	t, err := launch(ctx, command, args, private, stderr)
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	stop := t.stop
	t.stop = func() error {
		return errors.Join(stop(), os.RemoveAll(dir))
	}
	return t, nil
}

const (
	startTime = 10 * time.Second // for a proxy to tell its address
	stopTime  = 10 * time.Second // for it to end when it is told to
)

var address = regexp.MustCompile(`http://\S+\s*$`)

// launch runs a proxy, whose first line of output ends with the URL that it serves.
func launch(ctx context.Context, command string, args []string, private bool, stderr io.Writer) (*target, error) {
	ctx, kill := context.WithCancel(ctx)
	c := exec.CommandContext(ctx, command, args...)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = stopTime
	c.Stderr = stderr
	out, err := c.StdoutPipe()
	if err != nil {
		kill()
		return nil, err
	}
	if err := c.Start(); err != nil {
		kill()
		return nil, err
	}
	line := make(chan string, 1)
	read := make(chan struct{})
	go func() {
		defer close(read)
		r := bufio.NewReader(out)
		first, _ := r.ReadString('\n')
		line <- first
		io.Copy(io.Discard, r)
	}()
	stop := func() error {
		kill()
		<-read
		c.Wait()
		return nil
	}
	select {
	case first := <-line:
		if found := strings.TrimSpace(address.FindString(first)); found != "" {
			return proxied(found, private, stop), nil
		}
		err = fmt.Errorf("%s %s: its first line of output is %q, which does not end with a URL", command, strings.Join(args, " "), first)
	case <-time.After(startTime):
		err = fmt.Errorf("%s %s: it says nothing within %v", command, strings.Join(args, " "), startTime)
	}
	return nil, errors.Join(err, stop())
}
