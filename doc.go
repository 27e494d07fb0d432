// Package larder is a persistent HTTP cache for Go clients: an [http.RoundTripper] that keeps responses and
// reuses them as RFC 9111 allows, and as the user's rules say.
//
//	cache := &larder.Cache{}               // private, in 64 MiB of memory
//	client := cache.Client()               // or &http.Client{Transport: cache}
//	resp, err := client.Get("https://api.example.com/v1/things")
//	…                                      // a body that is read to its end is stored
//	fmt.Println(larder.Info(resp).Outcome) // miss, then hit
//
// To keep responses on disk give it a [store.Store], such as those of packages store/disk and store/sqlite. To
// keep them for longer than their headers say, or to cache what the standard does not, give it a [Rule]:
//
//	cache := &larder.Cache{
//		Store: files,
//		Rules: []larder.Rule{
//			{Match: "api.example.com/v1/**", TTL: time.Hour},
//			{Match: "search.example.com", Methods: []string{"POST"}, TTL: time.Minute},
//		},
//	}
//
// [Everything] is the rule for a cache that keeps all for a fixed time. One request asks for something else by its
// context: [WithMode] (refresh, offline, bypass) and [WithTTL].
//
// A request goes like this. Its key is built from the user ([Cache.Partition]), the method, the URL, and what the rule
// adds. Package rfc9111 decides whether a response that is stored under the key may be used. If not, the response comes
// from the origin, and is stored as the caller reads it. Bodies stream in both directions. Callers who ask for the same
// at once share one download. If a caller leaves a body early, a short rest of it is fetched all the same. Otherwise
// what has come is kept as a part if the origin can be asked for the rest, and dropped if it cannot. Trouble with the
// store is never the caller's trouble.
//
// [Info] says how a response came about, and [Cache.Explain] what would happen to a request; [Cache.Observe] and
// [Cache.Logger] get every event. [Cache.Entries], [Cache.Purge], [Cache.Delete] and [Cache.Sweep] look after what is
// stored.
//
// With http.Client.Timeout a hit from memory costs about twice as much; a context's deadline is cheaper.
package larder
