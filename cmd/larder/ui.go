package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/larder-go/larder/config"
	"github.com/larder-go/larder/page"
	"github.com/larder-go/larder/proxy"
)

// pagePath is the path of the page: a name of its own, since browsers keep data by scheme, host and port, whatever
// server is there.
const pagePath = "/_larder/"

// tokenEnv is the variable with the token of the page; a flag would show it to every user of the machine.
const tokenEnv = "LARDER_TOKEN"

type ui struct {
	listen string
	hosts  []string
}

func newUI(a *app) *cobra.Command {
	u := new(ui)
	cmd := &cobra.Command{
		Use:   "ui",
		Short: "Show what is stored in a browser",
		Long: `Serve a web page that shows what is stored, tells what would happen to a request, and removes what
you want to be rid of, until interrupted. What a proxy does is shown live by larder serve --ui.

On a loopback address it answers this machine alone. On any other it wants a token: that in
$LARDER_TOKEN, or one that is made up and printed.`,
		Example: `  larder ui
  larder ui --store redis://localhost:6379/0 --listen 127.0.0.1:9000`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return u.run(cmd, a) },
	}
	cmd.Flags().StringVar(&u.listen, "listen", "127.0.0.1:8090", "the `ADDRESS` to listen at")
	cmd.Flags().StringArrayVar(&u.hosts, "host", nil, "a `HOST` that requests may name, besides IP addresses and localhost; may be repeated")
	return cmd
}

func (u *ui) run(cmd *cobra.Command, a *app) error {
	if err := config.CheckAddress(u.listen); err != nil {
		return usagef("--listen %q: %w", u.listen, err)
	}
	c, closeStore, err := a.cache(cmd, false)
	if err != nil {
		return err
	}
	defer closeStore()
	end, err := servePage(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), u.listen, &page.Page{Cache: c, Hosts: u.hosts})
	if err != nil {
		return err
	}
	<-cmd.Context().Done()
	if err := end(); err != nil {
		return &exitError{exitFailed, err}
	}
	return nil
}

// servePage serves p at address, and writes to out where that is, until end is called.
func servePage(ctx context.Context, out, stderr io.Writer, address string, p *page.Page) (end func() error, err error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	at := fmt.Sprintf("http://%s%s", listener.Addr(), pagePath)
	if p.Token = os.Getenv(tokenEnv); p.Token == "" && !loopback(listener.Addr()) {
		p.Token = rand.Text()
		at += "#token=" + p.Token
	}
	mux := http.NewServeMux()
	mux.Handle(pagePath, http.StripPrefix(strings.TrimSuffix(pagePath, "/"), p))
	mux.Handle("GET /{$}", http.RedirectHandler(pagePath, http.StatusFound))
	end = serveAside(context.WithoutCancel(ctx), listener, &proxy.Server{Handler: mux, MaxConnections: 64, ErrorLog: log.New(errorLog{stderr}, "", 0)})
	if _, err := fmt.Fprintf(out, "larder: the page is at %s\n", at); err != nil {
		end()
		return nil, err
	}
	return end, nil
}

func loopback(a net.Addr) bool {
	at, err := netip.ParseAddrPort(a.String())
	return err == nil && at.Addr().Unmap().IsLoopback()
}

// exposePage serves a page that shows the cache of p live. It must be called before the cache is used.
func (s *serve) exposePage(ctx context.Context, out io.Writer, p *proxy.Proxy) (end func() error, err error) {
	shown := &page.Page{Cache: p.Cache, Hosts: p.Hosts}
	alsoObserve(p.Cache, shown.Observe)
	end, err = servePage(ctx, out, s.err, s.ui, shown)
	if err != nil {
		return nil, fmt.Errorf("--ui: %w", err)
	}
	return end, nil
}
