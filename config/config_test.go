package config

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/disk"
	"github.com/larder-go/larder/store/memory"
	"github.com/larder-go/larder/store/tiered"
)

func parse(t *testing.T, file string) *Config {
	t.Helper()
	c, err := Parse(filepath.Join(t.TempDir(), "larder.yaml"), []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestACacheByFile(t *testing.T) {
	asked := 0
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.Header().Set("Set-Cookie", "session=1")
		io.WriteString(w, "hello")
	}))
	defer origin.Close()
	c := parse(t, `
store: {location: "disk:files", front: {max-bytes: 1MiB}}
cache: {name: mine, max-variants: 3, keep-stale: 1d, targeted: []}
rules: [{ttl: 1h, strip: [Set-Cookie]}]
redact: [secret]
`)
	cache, end, err := c.OpenCache(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		resp, err := cache.Client().Get(origin.URL + "/a?secret=s3cret")
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	if err := end(t.Context()); err != nil {
		t.Fatal(err)
	}
	if asked != 1 || cache.Name != "mine" || cache.MaxVariants != 3 || cache.KeepStale != 24*time.Hour || cache.Targeted == nil {
		t.Errorf("asked %d times; %+v", asked, cache)
	}
	if _, ok := cache.Store.(*tiered.Store); !ok {
		t.Errorf("the store is %T", cache.Store)
	}
	files, err := disk.Open(filepath.Join(filepath.Dir(c.File()), "files"), nil) // beside the file
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	n := 0
	for r, err := range files.Find(t.Context(), store.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		if strings.Contains(r.URL, "s3cret") || r.Header["Set-Cookie"] != nil {
			t.Errorf("stored: %s %v", r.URL, r.Header)
		}
	}
	if n != 1 {
		t.Errorf("%d are stored", n)
	}
}

// TestApplySetsWhatIsGiven goes through every field, and leaves alone what is not given.
func TestApplySetsWhatIsGiven(t *testing.T) {
	var c Config
	given := reflect.ValueOf(&c.Cache).Elem()
	for i := range given.NumField() {
		switch f := given.Field(i); f.Kind() {
		case reflect.Bool:
			f.SetBool(true)
		case reflect.String:
			f.SetString("given")
		case reflect.Slice:
			f.Set(reflect.ValueOf(Names{"Given"}))
		default:
			f.SetInt(int64(i) + 1)
		}
	}
	var cache larder.Cache
	for _, c := range []*Config{&c, {}} {
		c.Apply(&cache)
		for i := range given.NumField() {
			name := given.Type().Field(i).Name
			got := reflect.ValueOf(&cache).Elem().FieldByName(name)
			if want := given.Field(i); !reflect.DeepEqual(got.Interface(), want.Convert(got.Type()).Interface()) {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
	}
	cache = larder.Cache{}
	(&Config{}).Apply(&cache)
	if cache.Shared || cache.ShowKey || cache.VerifyDigests || cache.FailClosed || cache.Targeted != nil || cache.Rules != nil {
		t.Errorf("of nothing that is given: %+v", &cache)
	}
}

func TestWhatIsRedactedForAll(t *testing.T) {
	c := &Config{Rules: []Rule{{Match: "a.test", Redact: []string{"mine"}}}}
	more := larder.Rule{Match: "b.test"}
	for _, w := range []struct {
		redact []string
		want   [][]string // of each rule
	}{
		{nil, [][]string{{"mine"}, nil}},
		{[]string{"token"}, [][]string{{"mine", "token"}, {"token"}, {"token"}}},
	} {
		c.Redact = w.redact
		rules := c.LarderRules(more)
		var got [][]string
		for _, r := range rules {
			got = append(got, r.Redact)
		}
		if !reflect.DeepEqual(got, w.want) || rules[0].Match != "a.test" || rules[1].Match != "b.test" || len(rules) == 3 && rules[2].Match != "" {
			t.Errorf("%q for all: %+v, want %q", w.redact, rules, w.want)
		}
	}
}

func TestDrivers(t *testing.T) {
	own := new(memory.Store)
	drivers := &Drivers{Open: map[string]func(context.Context, Location) (store.Store, error){
		"mine": func(_ context.Context, at Location) (store.Store, error) {
			if at.Path != "mine:anything?x=1" {
				t.Errorf("asked for %+v", at)
			}
			return own, nil
		},
		"redis": func(context.Context, Location) (store.Store, error) { return nil, errors.New("no answer") },
	}}
	for _, c := range []struct{ file, want string }{
		{`store: {location: "mine:anything?x=1"}`, ""},
		{`store: {location: "redis://me:s3cret@host"}`, "the store redis://host cannot be used: no answer"},
		{`store: {location: "mongodb://me:s3cret@host/db"}`, "store.location: this program has no driver for mongodb: want one in config.Drivers"},
		{`store: {location: "bolt:x"}`, `store.location: there is no kind of store "bolt", want sqlite:PATH`},
		{`store: {location: "mine:anything?x=1", compress: true}`, "store.compress: this program cannot compress: want config.Drivers.Compress"},
		{`store: {location: "mine:anything?x=1", encrypt-key-files: [missing]}`, "store.encrypt-key-files[0]: "},
	} {
		s, closeStore, err := parse(t, c.file).OpenStore(t.Context(), drivers)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.file, err)
		case c.want == "":
			if s != own || closeStore() != nil {
				t.Errorf("%s: %v", c.file, s)
			}
		case err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret"):
			t.Errorf("%s: %v, want %s", c.file, err, c.want)
		}
	}
}

func TestServe(t *testing.T) {
	t.Setenv("PORT", "9000")
	c := parse(t, `serve: {listen: "127.0.0.1:${PORT}", origins: ["https://api.example.com", "/img=https://img.example.com"], hosts: [api.local], via: edge, max-connections: 7, grace: 3s, stall-timeout: 9s}`)
	if at, err := c.Serve.Address(); at != "127.0.0.1:9000" || err != nil {
		t.Errorf("%s, %v", at, err)
	}
	if at, err := new(Serve).Address(); at != "127.0.0.1:8080" || err != nil {
		t.Errorf("%s, %v", at, err)
	}
	p, err := c.Proxy(&larder.Cache{Base: c.Transport()})
	if err != nil || p.Check() != nil || len(p.Origins) != 2 || p.Hosts[0] != "api.local" || p.Via != "edge" || p.StallTimeout != 9*time.Second {
		t.Errorf("%+v, %v", p, err)
	}
	s, err := c.Server(p)
	if err != nil || s.MaxConnections != 7 || s.GraceTimeout != 3*time.Second || s.TLS != nil {
		t.Errorf("%+v, %v", s, err)
	}
	broken := parse(t, "serve: {cert: missing.pem, key: missing.pem}")
	if _, err := broken.Server(p); err == nil || !strings.Contains(err.Error(), "missing.pem") || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a certificate that is not there: %v", err)
	}
}

func TestExpand(t *testing.T) {
	t.Setenv("PASSWORD", "p@ss/w:rd")
	for text, want := range map[Text]string{
		"plain":                         "plain",
		"redis://me:${PASSWORD}@host/0": "redis://me:p%40ss%2Fw%3Ard@host/0",
		"${PASSWORD}":                   "p@ss/w:rd",
		"$${PASSWORD}":                  "${PASSWORD}",
		"https://host/${PASSWORD}":      "https://host/p@ss/w:rd",
		Literal("a${b}"):                "a${b}",
	} {
		if got, err := text.Expand(); got != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", text, got, err, want)
		}
	}
	for text, want := range map[Text]string{
		"${MISSING_X}": "the environment variable MISSING_X is not set, or empty",
		"${}":          "want ${NAME}",
		"${a b}":       "want ${NAME}",
		"${OPEN":       "want ${NAME}",
	} {
		if got, err := text.Expand(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v; want %s", text, got, err, want)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(filepath.Join(dir, "missing.yaml")); !errors.Is(err, os.ErrNotExist) || !strings.HasPrefix(err.Error(), "configuration file: ") {
		t.Errorf("a file that is not there: %v", err)
	}
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(large); err == nil || !strings.Contains(err.Error(), "the file is larger than 1 MiB") {
		t.Errorf("a large file: %v", err)
	}
	var fault *Fault
	if _, err := Parse("x.yaml", []byte("rules:\n- ttl: soon\n")); !errors.As(err, &fault) || fault.Line != 2 || fault.Column != 8 || fault.Field != "rules[0].ttl" {
		t.Errorf("%v, %+v", err, fault)
	}
}

func TestLocations(t *testing.T) {
	for given, want := range map[string]Location{
		"sqlite:/a?max-bytes=1KiB&damaged=fail": {Kind: "sqlite", Path: "/a", MaxBytes: 1024, FailDamaged: true},
		"disk:/a?max-bytes=none":                {Kind: "disk", Path: "/a", MaxBytes: -1},
		"memory:":                               {Kind: "memory"},
		"rediss://u:p@h/0":                      {Kind: "redis", Path: "rediss://u:p@h/0"},
		"mongodb+srv://h/db":                    {Kind: "mongodb", Path: "mongodb+srv://h/db"},
		"bolt:x?y":                              {Kind: "bolt", Path: "bolt:x?y"},
	} {
		got, err := ParseLocation(given)
		if got != want || err != nil {
			t.Errorf("%s: %+v, %v", given, got, err)
		}
		if s := got.String(); strings.Contains(s, "u:p@") {
			t.Errorf("%s is shown as %s", given, s)
		}
	}
}
