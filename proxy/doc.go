// Package proxy is a caching reverse proxy over a larder.Cache, so that programs in any language can use the cache.
//
//	origin, err := proxy.ParseOrigin("https://api.example.com")
//	...
//	server := &proxy.Server{Handler: &proxy.Proxy{Origins: []proxy.Origin{origin}}}
//	err = server.ListenAndServe(ctx, "127.0.0.1:8080")
//
// A Proxy is an http.Handler. It finds the origin that a request is for, passes on requests and responses as RFC 9110
// §7.6 requires of a gateway, and reports what goes wrong in responses of its own, with a Proxy-Status (RFC 9209). It
// connects to the origins that it was given and to nothing else, whatever a request says. A Server is an http.Server
// with limits on all that a client can do, and NewTransport returns an http.Transport with limits on all that an origin
// can do.
//
// Bodies stream in both directions; nothing is held back. docs/proxy.md says what becomes of each header field.
package proxy
