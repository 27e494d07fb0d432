package larder

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/larder-go/larder/store"
)

// wish is a request as the test makes it: what it is made of is what it means, so that nothing has to be parsed to tell
// two apart.
type wish struct {
	method, scheme, host, port string
	path                       []string // segments, each of characters and escapes
	query                      []string // nil: there is none
	fields                     [][2]string
	body                       string
}

// pick returns one of the words.
func pick(random *rand.Rand, words string) string {
	all := strings.Split(words, " ")
	return all[random.IntN(len(all))]
}

// text returns up to four of the pieces, so that requests that look alike are frequent.
func text(random *rand.Rand, pieces string) string {
	var b strings.Builder
	for range random.IntN(4) {
		b.WriteString(pick(random, pieces))
	}
	return b.String()
}

func randomWish(random *rand.Rand) wish {
	a := wish{method: pick(random, "GET GET HEAD QUERY POST"), scheme: pick(random, "http https HTTP"), host: pick(random, "a.example A.example b.example a.exampl"),
		port: pick(random, " :80 :443 :8080 :")}
	for range 1 + random.IntN(3) {
		a.path = append(a.path, text(random, "a A %61 b . %2e %2E ! %21 %2F %2f / é %C3%A9 %c3%a9 | %7C : ;"))
	}
	if random.IntN(2) == 0 {
		a.query = []string{}
		for range random.IntN(3) {
			a.query = append(a.query, text(random, "a = %3D 1 %31 & %26 + %20 ? %3F é %C3%A9 %c3%A9"))
		}
	}
	for _, name := range []string{"Authorization", "Cookie", "X-A", "X-B"} {
		for range max(0, random.IntN(5)-2) {
			a.fields = append(a.fields, [2]string{name, text(random, "a a b , ; hX-B\x00a hX-B\x00 \xc3")})
		}
	}
	if a.method == "POST" || a.method == "QUERY" {
		a.body = text(random, "a b \x00 b\x20 u\x05")
	}
	return a
}

// changed is a in which one thing is as in b.
func (a wish) changed(random *rand.Rand, b wish) wish {
	switch random.IntN(7) {
	case 0:
		a.method = b.method
	case 1:
		a.scheme = b.scheme
	case 2:
		a.host = b.host
	case 3:
		a.port = b.port
	case 4:
		a.path = b.path
	case 5:
		a.query = b.query
	default:
		a.fields = b.fields
	}
	if a.method == b.method {
		a.body = b.body
	}
	return a
}

func (a wish) url() string {
	u := a.scheme + "://" + a.host + a.port + "/" + strings.Join(a.path, "/")
	if a.query != nil {
		u += "?" + strings.Join(a.query, "&")
	}
	return u
}

// meaning says what of a request makes a difference (RFC 3986 §6.2.2, §6.2.3; RFC 9111 §2), slowly. sent is its path as
// net/http sends it: as it is given, or all escaped anew if a part of it cannot stand there as it is.
func (a wish) meaning(sent string) string {
	if a.method == "HEAD" {
		a.method = "GET"
	}
	a.scheme, a.host = strings.ToLower(a.scheme), strings.ToLower(a.host)
	if a.port == ":" || a.port == map[string]string{"http": ":80", "https": ":443"}[a.scheme] {
		a.port = ""
	}
	path := removedDots(strings.Split(meant(sent), "/"))
	query := "none"
	if a.query != nil {
		query = "some " + meant(strings.Join(a.query, "&"))
	}
	fields := make(map[string][]string)
	for _, f := range a.fields {
		fields[f[0]] = append(fields[f[0]], fmt.Sprintf("%q", f[1]))
	}
	m, err := json.Marshal([]any{a.method, a.scheme, a.host, a.port, path, query, fields, fmt.Sprintf("%q", a.body)})
	if err != nil {
		panic(err)
	}
	return string(m)
}

// meant writes each character that may be escaped or not as one thing: an unreserved one as itself, another that cannot
// stand in a URL as its escape.
func meant(s string) string {
	for _, c := range "aA1.~_-be" {
		for _, escape := range []string{fmt.Sprintf("%%%02X", c), fmt.Sprintf("%%%02x", c)} {
			s = strings.ReplaceAll(s, escape, string(c))
		}
	}
	for _, pair := range []string{"é %C3%A9", "%c3%a9 %C3%A9", "%c3%A9 %C3%A9", "%2f %2F", "| %7C"} {
		from, to, _ := strings.Cut(pair, " ")
		s = strings.ReplaceAll(s, from, to)
	}
	return s
}

// removedDots is RFC 3986 §5.2.4 by segments.
func removedDots(segments []string) string {
	var out []string
	for i, s := range segments {
		last := i == len(segments)-1
		switch {
		case s == "..":
			out = out[:max(0, len(out)-1)]
			fallthrough
		case s == ".":
			if last {
				out = append(out, "")
			}
		default:
			out = append(out, s)
		}
	}
	return strings.Join(out, "/")
}

// TestKeyPairs compares each of 10 000 requests with each other one, 50 million pairs: those that mean the same have
// the same key, and no others have.
func TestKeyPairs(t *testing.T) {
	const requests = 10_000
	random := rand.New(rand.NewPCG(9111, 4))
	c := new(Cache)
	compiled, err := compile(Rule{Methods: []string{"GET", "HEAD", "QUERY", "POST"}, KeyHeaders: []string{"X-A", "X-B"}})
	if err != nil {
		t.Fatal(err)
	}
	type first struct{ url, meaning string }
	byKey, byMeaning := make(map[store.Key]first), make(map[string]store.Key)
	same := 0
	var all []wish
	for range requests {
		a := randomWish(random)
		if len(all) > 0 && random.IntN(4) > 0 { // one that is nearly another
			a = all[random.IntN(len(all))].changed(random, a)
		}
		all = append(all, a)
		req, err := http.NewRequestWithContext(t.Context(), a.method, a.url(), strings.NewReader(a.body))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range a.fields {
			req.Header.Add(f[0], f[1])
		}
		x := &exchange{req: req, send: req}
		if why := c.prepare(x, []*rule{compiled}); why != "" {
			t.Fatalf("%s %s: %s", a.method, a.url(), why)
		}
		meaning := a.meaning(strings.TrimPrefix(req.URL.EscapedPath(), "/"))
		if was, known := byKey[x.key]; known && was.meaning != meaning {
			t.Fatalf("one key for\n%q\n%q, which mean\n%s\n%s", a.url(), was.url, meaning, was.meaning)
		}
		if key, known := byMeaning[meaning]; known && key != x.key {
			t.Fatalf("two keys for what means %s:\n%q\n%q", meaning, key, x.key)
		} else if known {
			same++
		}
		byKey[x.key], byMeaning[meaning] = first{a.url(), meaning}, x.key
	}
	if same < requests/100 {
		t.Errorf("only %d of %d requests mean the same as another: the test is not near enough to what it is after", same, requests)
	}
}
