// Package proxy is a caching reverse proxy over a larder.Cache, so that programs in any language can use the cache.
//
//	origin, err := proxy.ParseOrigin("https://api.example.com")
//	...
//	server := &proxy.Server{Handler: &proxy.Proxy{Origins: []proxy.Origin{origin}}}
//	err = server.ListenAndServe(ctx, "127.0.0.1:8080")
//
// A Proxy is an http.Handler: it says which origin a request is for, passes requests and responses on as RFC 9110 §7.6
// wants it of a gateway, and answers what goes wrong by itself with a Proxy-Status (RFC 9209). It reaches the origins
// that it was given, and nothing else, whatever a request says. A Server is an http.Server with a limit on everything
// that a client can do, and NewTransport is an http.Transport with one on everything that an origin can do.
//
// Bodies stream in both directions; nothing is held back. docs/proxy.md tells what becomes of each header field.
package proxy
