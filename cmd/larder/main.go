// Command larder fetches through a persistent HTTP cache, looks into it, and purges it; see docs/command.md.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	log.SetFlags(0) // net/http logs oddities of origins
	log.SetPrefix("larder: ")
	signal.Ignore(syscall.SIGPIPE) // writing fails instead, so that the store is closed
	interrupted, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.Background())
	context.AfterFunc(interrupted, func() {
		stop() // first of all, so that a second Ctrl-C ends the program at once
		cancel()
	})
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
