package behaviour

import (
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/larder-go/larder"
)

// conformance are tests of what RFC 9111 and RFC 9110 ask of a cache that no other test shows; docs/conformance-rfc9111.md names
// the test of each rule.
var conformance = []test{
	{name: "a GET is not answered from a HEAD whose tag a 304 names", run: func(t *T) {
		t.origin.content("/a", "0123456789", "Cache-Control", "max-age=60", "ETag", `"1"`)
		t.get("/a", header("Range", "bytes=0-4"))
		t.origin.content("/a", "abcdefghij", "Cache-Control", "max-age=60", "ETag", `"2"`)
		t.do("HEAD", "/a")
		t.clock.advance(time.Hour)
		t.get("/a", header("Range", "bytes=0-4")).want(larder.Miss, "abcde")
	}},
	{name: "nor is it where the HEAD's tag is strong and the GET's weak, as behind a server that compresses", run: func(t *T) {
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			set(w.Header(), []string{"Cache-Control", "max-age=60", "Vary", "Accept-Encoding", "ETag", `"1"`})
			if strings.Contains(r.Header.Get("If-None-Match"), `"1"`) {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			if r.Method == http.MethodGet {
				w.Header().Set("ETag", `W/"1"`)
			}
			io.WriteString(w, "hello")
		})
		br := header("Accept-Encoding", "br")
		t.get("/a", br).want(larder.Miss, "hello")
		t.do("HEAD", "/a").want(larder.Miss, "")
		t.clock.advance(time.Hour)
		t.get("/a", br).want(larder.Revalidated, "hello")
	}},
}
