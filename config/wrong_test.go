package config

import (
	"strings"
	"testing"
)

// wrong are files with something wrong in them. What the schema cannot say is for the loader alone to find.
var wrong = []struct {
	file   string
	want   []string
	loader bool
}{
	{"a: [1", []string{"larder.yaml:2:1: it is not YAML: did not find expected ',' or ']', while parsing a flow sequence that begins in line 1"}, true},
	{"store:\n\tlocation: x", []string{"larder.yaml:2:1: it is not YAML: found character that cannot start any token"}, true},
	{`store: {location: "\x"}`, []string{"larder.yaml:1:22: it is not YAML: did not find expected hexadecimal number"}, true},
	{"a: 1\n---\nb: 2", []string{
		`larder.yaml:1:1: there is no field "a", want one of store, cache, rules, redact, serve`,
		"larder.yaml:2:1: a second document begins here (---), want one",
	}, true},
	{"colour: blue", []string{`larder.yaml:1:1: there is no field "colour", want one of store, cache, rules, redact, serve`}, false},
	{"store: {location: \"memory:\"}\ncache: {}\nstore: {location: \"disk:x\"}", []string{"larder.yaml:3:1: store: it is given twice, first in line 1"}, true},
	{"max-byte: 1\ncache:\n  max-byte: 1", []string{
		`larder.yaml:1:1: there is no field "max-byte", want one of store, cache, rules, redact, serve`,
		`larder.yaml:3:3: cache: there is no field "max-byte", want one of shared, targeted, name, show-key, verify-digests, max-body, max-key-body, max-variants, keep-stale, refresh-timeout, store-timeout, lease-time, lease-wait, fail-closed`,
	}, false},
	{"- a", []string{"larder.yaml:1:1: a list is here, want fields: store, cache, rules, redact, serve"}, false},
	{"rules", []string{"larder.yaml:1:1: a text is here, want fields: store, cache, rules, redact, serve"}, false},
	{"5: x", []string{"larder.yaml:1:1: the number 5 is here, want the name of a field: store, cache, rules, redact, serve"}, true},
	{"store: []", []string{"larder.yaml:1:8: store: a list is here, want fields: location, max-bytes, compress, encrypt-key-files, front"}, false},
	{"store: sqlite:x", []string{"larder.yaml:1:8: store: a text is here, want fields: location, max-bytes, compress, encrypt-key-files, front"}, false},
	{"store:\n  location:", []string{"larder.yaml:2:12: store.location: there is no value; give one, or leave the field out"}, false},
	{"store: {location: 5}", []string{"larder.yaml:1:19: store.location: the number 5 is here, want a text; put it in quotes"}, false},
	{`store: {location: ""}`, []string{"larder.yaml:1:19: store.location: it is empty; give a value, or leave it out"}, false},
	{`store: {location: {url: "redis://me:s3cret@host"}}`, []string{"larder.yaml:1:19: store.location: a mapping is here, want a value"}, false},
	{"store: {location: cache.sqlite}", []string{`larder.yaml:1:19: store.location: "cache.sqlite": it names no kind of store, want sqlite:PATH, disk:DIR, memory:, redis://HOST, mongodb://HOST/DATABASE or dynamodb://TABLE`}, true},
	{`store: {location: "sqlite:"}`, []string{`larder.yaml:1:19: store.location: "sqlite:": no path, want sqlite:PATH, disk:DIR, memory:, redis://HOST, mongodb://HOST/DATABASE or dynamodb://TABLE`}, true},
	{`store: {location: "memory:x"}`, []string{`larder.yaml:1:19: store.location: "memory:x": memory: takes no path`}, true},
	{`store: {location: "redis:me:s3cret@host"}`, []string{`larder.yaml:1:19: store.location: "redis:host": want it to begin with redis://`}, true},
	{`store: {location: "sqlite:x?max-byte=1"}`, []string{`larder.yaml:1:19: store.location: "sqlite:x?max-byte=1": unknown option "max-byte", want max-bytes=SIZE or, for sqlite, damaged=fail or damaged=rebuild`}, true},
	{`store: {location: "sqlite:x?damaged=no"}`, []string{`larder.yaml:1:19: store.location: "sqlite:x?damaged=no": damaged is "no", want fail or rebuild`}, true},
	{`store: {location: "redis://me:${NOT_SET}@host"}`, []string{"larder.yaml:1:19: store.location: the environment variable NOT_SET is not set, or empty"}, true},
	{`store: {location: "redis://me:${EMPTY}@host"}`, []string{"larder.yaml:1:19: store.location: the environment variable EMPTY is not set, or empty"}, true},
	{`store: {location: "redis://me:${S3CRET"}`, []string{"larder.yaml:1:19: store.location: want ${NAME} with the name of an environment variable, or $${ for ${ itself"}, true},
	{`store: {location: "${}"}`, []string{"larder.yaml:1:19: store.location: want ${NAME} with the name of an environment variable, or $${ for ${ itself"}, true},
	{`store: {location: "sqlite:x?max-bytes=1MB", max-bytes: 1MB}`, []string{"larder.yaml:1:56: store.max-bytes: the location has a max-bytes, too, want one of them"}, true},
	{`store: {location: "redis://me:s3cret@host", max-bytes: 1MB}`, []string{"larder.yaml:1:56: store.max-bytes: the limit is for sqlite, disk, memory, not for redis"}, true},
	{"store: {max-bytes: lots}", []string{`larder.yaml:1:20: store.max-bytes: "lots": want a size such as 4096, 512MiB or 2GB, or none`}, false},
	{"store: {max-bytes: 0}", []string{`larder.yaml:1:20: store.max-bytes: "0": want a size such as 4096, 512MiB or 2GB, or none`}, false},
	{"store: {max-bytes: -1}", []string{`larder.yaml:1:20: store.max-bytes: "-1": want a size such as 4096, 512MiB or 2GB, or none`}, false},
	{"store: {max-bytes: 1.5}", []string{"larder.yaml:1:20: store.max-bytes: the number 1.5 is here, want it as a text or a whole number"}, false},
	{"store: {max-bytes: [1]}", []string{"larder.yaml:1:20: store.max-bytes: a list is here, want a value"}, false},
	{"store: {compress: yes}", []string{"larder.yaml:1:19: store.compress: a text is here, want true or false"}, false},
	{"store: {compress: 1}", []string{"larder.yaml:1:19: store.compress: the number 1 is here, want true or false"}, false},
	{"store: {encrypt-key-files: a.key}", []string{"larder.yaml:1:28: store.encrypt-key-files: a text is here, want a list, such as [a, b]"}, false},
	{`store: {encrypt-key-files: [a.key, ""]}`, []string{"larder.yaml:1:36: store.encrypt-key-files[1]: it is empty; give a value, or leave it out"}, false},
	{`store: {encrypt-key-files: ["${NOT_SET}/a.key"]}`, []string{"larder.yaml:1:29: store.encrypt-key-files[0]: the environment variable NOT_SET is not set, or empty"}, true},
	{`store: {location: "memory:", front: {}}`, []string{"larder.yaml:1:37: store.front: the store is in memory itself, and needs none in front"}, true},
	{`store: {location: "disk:x", front: {lifetime: forever}}`, []string{`larder.yaml:1:47: store.front.lifetime: "forever": want a positive duration such as 90s, 15m, 2h or 7d, or never`}, false},
	{"cache: {name: 5}", []string{"larder.yaml:1:15: cache.name: the number 5 is here, want a text; put it in quotes"}, false},
	{"cache: {name: [a]}", []string{"larder.yaml:1:15: cache.name: a list is here, want a text"}, false},
	{"cache: {name: null}", []string{"larder.yaml:1:15: cache.name: there is no value; give one, or leave the field out"}, false},
	{`cache: {targeted: [CDN-Cache-Control, ""]}`, []string{"larder.yaml:1:39: cache.targeted[1]: it is empty; give a value, or leave it out"}, false},
	{"cache: {max-body: none}", []string{`larder.yaml:1:19: cache.max-body: "none": want a size such as 4096, 512MiB or 2GB`}, false},
	{"cache: {max-variants: 0}", []string{"larder.yaml:1:23: cache.max-variants: the number 0 is here, want a positive number"}, false},
	{"cache: {max-variants: many}", []string{"larder.yaml:1:23: cache.max-variants: a text is here, want a positive number"}, false},
	{`cache: {max-variants: "3"}`, []string{"larder.yaml:1:23: cache.max-variants: a text is here, want a positive number"}, false},
	{"cache: {keep-stale: 60}", []string{`larder.yaml:1:21: cache.keep-stale: "60": want a positive duration such as 90s, 15m, 2h or 7d`}, false},
	{"cache: {keep-stale: 1 hour}", []string{`larder.yaml:1:21: cache.keep-stale: "1 hour": want a positive duration such as 90s, 15m, 2h or 7d`}, false},
	{"cache: {keep-stale: -1h}", []string{`larder.yaml:1:21: cache.keep-stale: "-1h": want a positive duration such as 90s, 15m, 2h or 7d`}, false},
	{"cache: {keep-stale: forever}", []string{`larder.yaml:1:21: cache.keep-stale: "forever": want a positive duration such as 90s, 15m, 2h or 7d`}, false},
	{"cache: {keep-stale: 20000w}", []string{`larder.yaml:1:21: cache.keep-stale: "20000w": want a positive duration such as 90s, 15m, 2h or 7d`}, true},
	{"cache: {keep-stale: true}", []string{"larder.yaml:1:21: cache.keep-stale: true is here, want it as a text or a whole number"}, false},
	{"cache: {shared: &x true, show-key: *x}", []string{
		"larder.yaml:1:17: cache.shared: anchors (&), aliases (*) and tags (!) are not read here: write out what they stand for, or put the value in quotes",
		"larder.yaml:1:36: cache.show-key: anchors (&), aliases (*) and tags (!) are not read here: write out what they stand for, or put the value in quotes",
	}, true},
	{"cache: {shared: *x}", []string{"larder.yaml:1:17: anchors (&), aliases (*) and tags (!) are not read here: write out what they stand for, or put the value in quotes"}, true},
	{"cache: {name: !secret s3cret}", []string{"larder.yaml:1:15: cache.name: anchors (&), aliases (*) and tags (!) are not read here: write out what they stand for, or put the value in quotes"}, true},
	{"rules:\n  - match: api.example.com\n    ttl: \"1 hour\"", []string{`larder.yaml:3:10: rules[0].ttl: "1 hour": want a positive duration such as 90s, 15m, 2h or 7d, or forever or never`}, false},
	{"rules:\n  match: api.example.com", []string{"larder.yaml:2:3: rules: a mapping is here, want a list, such as [a, b]"}, false},
	{"rules: [GET]", []string{"larder.yaml:1:9: rules[0]: a text is here, want fields: match, methods, ttl, expires, statuses, stale-while-revalidate, stale-if-error, max-body, tags, sort-query, key-headers, ignore, redact, strip"}, false},
	{`rules: [{match: "ftp://example.com"}]`, []string{`larder.yaml:1:17: rules[0].match: URL pattern "ftp://example.com": scheme is "ftp", want http, https or *`}, true},
	{`rules: [{match: "/v1/**"}]`, []string{`larder.yaml:1:17: rules[0].match: URL pattern "/v1/**": no host; it has the form [scheme://]host[:port][/path], with ** for any host`}, true},
	{`rules: [{match: "a.example/?q=1"}]`, []string{`larder.yaml:1:17: rules[0].match: URL pattern "a.example/?q=1": "?q=1" at the end: a pattern is a host and a path, the query takes no part`}, true},
	{`rules: [{match: "a.example:http"}]`, []string{`larder.yaml:1:17: rules[0].match: URL pattern "a.example:http": port is "http", want a number`}, true},
	{`rules: [{match: "a***b"}]`, []string{`larder.yaml:1:17: rules[0].match: URL pattern "a***b": only * and ** are wildcards`}, true},
	{"rules: [{methods: get}]", []string{"larder.yaml:1:19: rules[0].methods: a text is here, want a list, such as [a, b]"}, false},
	{"rules: [{methods: [get, CONNECT]}]", []string{
		`larder.yaml:1:20: rules[0].methods[0]: method "get" can't be stored; methods are in capitals`,
		`larder.yaml:1:25: rules[0].methods[1]: method "CONNECT" can't be stored; methods are in capitals`,
	}, false},
	{"rules: [{methods: []}]", []string{"larder.yaml:1:19: rules[0].methods: the list is empty; leave it out for what the standard allows"}, false},
	{"rules: [{ttl: 0}]", []string{`larder.yaml:1:15: rules[0].ttl: "0": want a positive duration such as 90s, 15m, 2h or 7d, or forever or never`}, false},
	{`rules: [{ttl: ""}]`, []string{`larder.yaml:1:15: rules[0].ttl: "": want a positive duration such as 90s, 15m, 2h or 7d, or forever or never`}, false},
	{"rules: [{ttl: always}]", []string{`larder.yaml:1:15: rules[0].ttl: "always": want a positive duration such as 90s, 15m, 2h or 7d, or forever or never`}, false},
	{"rules: [{ttl: 1h, expires: 2027-01-01T00:00:00Z}]", []string{"larder.yaml:1:28: rules[0].expires: ttl is given, too, want one of them"}, false},
	{"rules: [{expires: 2027-01-01}]", []string{`larder.yaml:1:19: rules[0].expires: "2027-01-01": want a moment such as 2027-01-31T12:00:00Z`}, true},
	{"rules: [{expires: tomorrow}]", []string{`larder.yaml:1:19: rules[0].expires: "tomorrow": want a moment such as 2027-01-31T12:00:00Z`}, false},
	{"rules: [{statuses: [200, 206, 304, 99]}]", []string{
		"larder.yaml:1:26: rules[0].statuses[1]: status 206 can't be stored",
		"larder.yaml:1:31: rules[0].statuses[2]: status 304 can't be stored",
		"larder.yaml:1:36: rules[0].statuses[3]: status 99 can't be stored",
	}, false},
	{"rules: [{statuses: [OK]}]", []string{"larder.yaml:1:21: rules[0].statuses[0]: a text is here, want a positive number"}, false},
	{"rules: [{statuses: []}]", []string{"larder.yaml:1:20: rules[0].statuses: the list is empty; leave it out for what the standard allows"}, false},
	{"rules: [{stale-if-error: forever}]", []string{`larder.yaml:1:26: rules[0].stale-if-error: "forever": want a positive duration such as 90s, 15m, 2h or 7d, or never`}, false},
	{`rules: [{tags: ["cache-group:https://a/x"]}]`, []string{`larder.yaml:1:17: rules[0].tags[0]: tag "cache-group:https://a/x" begins as those of cache groups do`}, false},
	{`rules: [{tags: [""]}]`, []string{"larder.yaml:1:17: rules[0].tags[0]: it is empty; give a value, or leave it out"}, false},
	{"rules: [{ignore: [utm_*]}]", []string{"larder.yaml:1:18: rules[0].ignore: a list is here, want fields: query, header, form, json"}, false},
	{"rules: [{ignore: {cookies: [a]}}]", []string{`larder.yaml:1:19: rules[0].ignore: there is no field "cookies", want one of query, header, form, json`}, false},
	{"rules: [{filter: x}]", []string{`larder.yaml:1:10: rules[0]: there is no field "filter", want one of match, methods, ttl, expires, statuses, stale-while-revalidate, stale-if-error, max-body, tags, sort-query, key-headers, ignore, redact, strip`}, false},
	{"redact: X-Api-Key", []string{"larder.yaml:1:9: redact: a text is here, want a list, such as [a, b]"}, false},
	{`serve: {listen: "8080"}`, []string{`larder.yaml:1:17: serve.listen: "8080": want HOST:PORT, where the HOST 127.0.0.1 is this machine alone, and 0.0.0.0 every network`}, false},
	{`serve: {listen: ":8080"}`, []string{`larder.yaml:1:17: serve.listen: ":8080": want HOST:PORT, where the HOST 127.0.0.1 is this machine alone, and 0.0.0.0 every network`}, false},
	{`serve: {listen: "localhost:http"}`, []string{`larder.yaml:1:17: serve.listen: "localhost:http": want HOST:PORT, where the HOST 127.0.0.1 is this machine alone, and 0.0.0.0 every network`}, false},
	{`serve: {listen: "localhost:99999"}`, []string{`larder.yaml:1:17: serve.listen: "localhost:99999": want HOST:PORT, where the HOST 127.0.0.1 is this machine alone, and 0.0.0.0 every network`}, true},
	{"serve: {origins: https://api.example.com}", []string{"larder.yaml:1:18: serve.origins: a text is here, want a list, such as [a, b]"}, false},
	{"serve: {origins: [api.example.com]}", []string{`larder.yaml:1:19: serve.origins[0]: origin "api.example.com": want a URL that begins with http:// or https://, or PREFIX=URL, HOST=URL or HOST/PREFIX=URL`}, false},
	{`serve: {origins: ["https://me:s3cret@api.example.com"]}`, []string{`larder.yaml:1:19: serve.origins[0]: origin "https://api.example.com": it may hold no user or password`}, false},
	{`serve: {origins: ["https://api.example.com/?q=1"]}`, []string{`larder.yaml:1:19: serve.origins[0]: origin "https://api.example.com/?q=1": it may hold no query or fragment`}, false},
	{`serve: {origins: ["/v1/../x=https://api.example.com"]}`, []string{`larder.yaml:1:19: serve.origins[0]: origin "/v1/../x=https://api.example.com": prefix is "/v1/../x", want one such as /v1`}, true},
	{`serve: {origins: ["https://a.example", "https://b.example"]}`, []string{`larder.yaml:1:18: serve.origins: two origins for ""`}, true},
	{`serve: {origins: ["https://a.example"], via: "a b"}`, []string{"larder.yaml:1:46: serve.via: Via is not a token (RFC 9110 §5.6.2)"}, false},
	{"serve: {cert: cert.pem}", []string{"larder.yaml:1:15: serve.cert: cert and key go together"}, false},
	{"serve: {key: key.pem}", []string{"larder.yaml:1:14: serve.key: cert and key go together"}, false},
	{"serve: {max-connections: -1}", []string{"larder.yaml:1:26: serve.max-connections: the number -1 is here, want a positive number"}, false},
	{"serve: {grace: never}", []string{`larder.yaml:1:16: serve.grace: "never": want a positive duration such as 90s, 15m, 2h or 7d`}, false},
	{"store: {location: \"${LOCATION}\"}\nrules: [{ttl: soon, max-body: none}, {colour: blue}]\nserve: {listen: x}", []string{
		`larder.yaml:2:15: rules[0].ttl: "soon": want a positive duration such as 90s, 15m, 2h or 7d, or forever or never`,
		`larder.yaml:2:31: rules[0].max-body: "none": want a size such as 4096, 512MiB or 2GB`,
		`larder.yaml:2:39: rules[1]: there is no field "colour", want one of match, methods, ttl, expires, statuses, stale-while-revalidate, stale-if-error, max-body, tags, sort-query, key-headers, ignore, redact, strip`,
	}, false},
}

func TestWrong(t *testing.T) {
	t.Setenv("EMPTY", "")
	t.Setenv("LOCATION", "postgres://me:s3cret@host/s3cret")
	for _, c := range wrong {
		got, err := Parse("larder.yaml", []byte(c.file))
		if err == nil {
			t.Errorf("%s\nis taken as %+v", c.file, got)
			continue
		}
		if want := strings.Join(c.want, "\n"); err.Error() != want {
			t.Errorf("%s\nis refused by\n%s\nwant\n%s", c.file, err, want)
		}
		if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s\nis refused with a password: %s", c.file, err)
		}
	}
}
