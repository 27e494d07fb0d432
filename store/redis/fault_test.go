package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/larder-go/larder/internal/errno"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/chunked"
	"github.com/larder-go/larder/store/storetest"
)

func TestURLs(t *testing.T) {
	for url, want := range map[string]string{
		"redis://localhost":                                 "[localhost:6379]",
		"redis://[::1]:7000/3":                              "[[::1]:7000] db 3",
		"redis://me:p%40ss@10.0.0.1:1/0?prefix=x":           "[10.0.0.1:1] user me password p@ss prefix x",
		"redis://:secret@h/":                                "[h:6379] password secret",
		"rediss://h?max-body=1MiB&near=64MiB":               "[h:6379] TLS body 1048576 near 67108864",
		"redis://h?max-body=none":                           "[h:6379] body -1",
		"redis+cluster://u:p@a:1,b,[::1]:3":                 "[a:1 b:6379 [::1]:3] user u password p",
		"rediss+cluster://a:1?prefix=p":                     "[a:1] TLS prefix p",
		"redis+sentinel://a,b:2/main":                       "[a:26379 b:2] master main",
		"rediss+sentinel://:s@a/main/4?sentinel-password=t": "[a:26379] TLS password s master main db 4 sentinel t",
		"redis+sentinel://a/main?sentinel-password=t+u%26v": "[a:26379] master main sentinel t+u&v",
	} {
		opts, o, err := parse(url, Options{})
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if got := describe(opts, o); got != want {
			t.Errorf("%s is read as %s, want %s", url, got, want)
		}
	}
	for _, url := range []string{
		"", "redis", "redis:", "redis://", "redis:///0", "http://secret@h", "valkey+x://secret", "redis+ring://secret@h",
		"redis://u:sec/ret@h", "redis://u:sec?ret@h", "redis://u:secret%zz@h", "redis://u%zz:secret@h",
		"redis://secret:h:1", "redis://h:secret", "redis://h:0", "redis://h:70000", "redis://h/secret", "redis://h/-1", "redis://a,b",
		"redis://h?prefix=%zz", "redis+cluster://h/1", "redis+sentinel://h", "redis+sentinel://h/m/secret", "redis+sentinel:///m",
		"redis://h?max-body=secret", "redis://h?near=-1", "redis://h?near=99999999999GiB", "redis://h?wanted=secret", "redis://h?secret",
		"redis+sentinel://h/m?sentinel-password=open&secret",
		"redis://h?cacert=/nowhere", "rediss://h?cacert=/nowhere", "rediss://h?cert=/nowhere", "rediss://h?key=/nowhere", "rediss://h?cacert=fault_test.go",
	} {
		_, err := Open(context.Background(), url, &Options{Lazy: true})
		if err == nil {
			t.Errorf("%s: no error", url)
		} else if said := err.Error(); !strings.HasPrefix(said, "redis: ") || strings.Contains(said, "secret") || strings.Contains(said, "sec") {
			t.Errorf("%s: the error is not one sentence without a secret: %v", url, err)
		}
	}
	if _, err := Open(context.Background(), "redis://h", &Options{Lazy: true, Prefix: "a{b"}); err == nil {
		t.Error("a prefix with braces is taken")
	}
}

// describe names what a URL has set.
func describe(opts rueidis.ClientOption, o Options) string {
	said := fmt.Sprint(opts.InitAddress)
	if opts.TLSConfig != nil {
		said += " TLS"
	}
	for _, part := range []struct {
		name  string
		value any
	}{
		{"user", opts.Username}, {"password", opts.Password}, {"master", opts.Sentinel.MasterSet}, {"db", opts.SelectDB},
		{"body", o.MaxBody}, {"near", o.Near}, {"sentinel", opts.Sentinel.Password}, {"prefix", o.Prefix},
	} {
		if !reflect.ValueOf(part.value).IsZero() {
			said += fmt.Sprintf(" %s %v", part.name, part.value)
		}
	}
	return said
}

// wantSentence checks that err is one sentence with these words, and without a secret.
func wantSentence(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one with %q", words)
		return
	}
	said := err.Error()
	for _, w := range append(words, "redis at ") {
		if !strings.Contains(said, w) {
			t.Errorf("%q lacks %q", said, w)
		}
	}
	if strings.Contains(said, "s3cr3t") || strings.Contains(said, "\n") {
		t.Errorf("%q has a secret in it, or more than one line", said)
	}
	t.Log(said)
}

// openFails checks how Open fails, and how soon. On a busy machine a server may take longer than a handshake may: then
// it is tried again, unless that is what is wanted.
func openFails(t *testing.T, url string, words ...string) {
	t.Helper()
	const late = "did not answer in time"
	for try := 1; ; try++ {
		from := time.Now()
		s, err := Open(context.Background(), url, nil)
		if err == nil {
			s.Close()
		}
		if err != nil && try < 10 && strings.Contains(err.Error(), late) && !slices.Contains(words, late) {
			continue
		}
		wantSentence(t, err, words...)
		if took := time.Since(from); took > 2*dialTimeout+time.Second { // a second for a busy machine
			t.Errorf("it took %v to say so", took)
		}
		return
	}
}

func TestSentencesWhenItCannotBeOpened(t *testing.T) {
	s := serve(t)
	admin := s.admin()
	command(t, admin, "ACL", "SETUSER", "able", "on", ">s3cr3t", "~larder:*", "+@all")
	command(t, admin, "ACL", "SETUSER", "foreign", "on", ">s3cr3t", "~other:*", "+@all")
	command(t, admin, "ACL", "SETUSER", "unable", "on", ">s3cr3t", "~larder:*", "+get")
	command(t, admin, "ACL", "SETUSER", "default", "resetpass", ">other", "on")
	at := s.addr
	openFails(t, "redis://able:s3cr3t-no@"+at, at, "no such user with this password")
	openFails(t, "redis://nobody:s3cr3t@"+at, at, "no such user with this password")
	openFails(t, "redis://:s3cr3t@"+at, at, "no such user with this password")
	openFails(t, "redis://"+at, at, "none was given")
	openFails(t, "redis://foreign:s3cr3t@"+at, at, "lacks a permission", "keys larder:*")
	openFails(t, "redis://unable:s3cr3t@"+at, at, "lacks a permission", "hgetall")
	openFails(t, "redis://able:s3cr3t@"+at+"/99", at, "DB index is out of range")
	openFails(t, "rediss://able:s3cr3t@"+at, at, "did not answer in time") // it waits for the end of a line
	openFails(t, "redis+sentinel://able:s3cr3t@"+at+"/main", at)
	if s, err := Open(context.Background(), "redis://able:s3cr3t@"+at, nil); err != nil {
		t.Error(err)
	} else {
		s.Close()
	}

	openFails(t, "redis://able:s3cr3t@nowhere.invalid", "nowhere.invalid:6379")
	gone := freeAddr(t)
	openFails(t, "redis://able:s3cr3t@"+gone, "nothing listens at "+gone)
	openFails(t, "redis+cluster://able:s3cr3t@"+gone, "nothing listens at "+gone)
	openFails(t, "redis+sentinel://able:s3cr3t@"+gone+"/main", "nothing listens at "+gone)
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	openFails(t, "redis://able:s3cr3t@"+web.Listener.Addr().String(), "does not speak Redis' protocol")

	deaf, err := net.Listen("tcp", "127.0.0.1:0") // that takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	openFails(t, "redis://able:s3cr3t@"+deaf.Addr().String(), deaf.Addr().String(), "did not answer in time")
}

func TestSentencesForTLSAndSentinels(t *testing.T) {
	url := env(t, "REDIS_TLS_URL")
	openFails(t, url, "certificate")
	openFails(t, strings.Replace(url, "rediss://", "redis://", 1))
	openFails(t, "redis+sentinel://"+env(t, "REDIS_SENTINEL")+"/nobody", "master")
}

func TestSentencesInUse(t *testing.T) {
	s := serve(t)
	replica := serve(t, "--replicaof", strings.Replace(s.addr, ":", " ", 1))
	admin := s.admin()
	command(t, admin, "ACL", "SETUSER", "reader", "on", ">s3cr3t", "~larder:*", "+hgetall")
	command(t, admin, "ACL", "SETUSER", "half", "on", ">s3cr3t", "~larder:*", "+hgetall", "+evalsha", "+eval", "+exists", "+hset", "+hexists", "+hget", "+time")
	row := chunked.Row{Group: "r/0f", Item: "a", Expires: time.Now().Add(time.Hour)}
	use := func(url string, words ...string) {
		t.Helper()
		st, err := Open(context.Background(), url, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		wantSentence(t, st.table.Put(background, row, chunked.Always), words...)
	}
	use("redis://reader:s3cr3t@"+s.addr, s.addr, "put", "lacks a permission", "evalsha", "larder:*")
	use("redis://half:s3cr3t@"+s.addr, s.addr, "put", "lacks a permission", "larder:*")
	use(replica.url(), replica.addr, "put", "replica")

	st, err := Open(context.Background(), s.url(), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.stop()
	err = st.table.Put(background, row, chunked.Always)
	for i := 0; err != nil && !errors.Is(err, errno.ECONNREFUSED) && i < 3; i++ { // the connection's end comes first
		err = st.table.Put(background, row, chunked.Always)
	}
	wantSentence(t, err, s.addr, "put", "nothing listens")
	if !errors.Is(err, errno.ECONNREFUSED) {
		t.Errorf("%v does not wrap its cause", err)
	}
	s.start()
	if err := st.table.Put(background, row, chunked.Always); err != nil {
		t.Error(err)
	}
	st.Close()
	wantSentence(t, st.table.Put(background, row, chunked.Always), "closed")
}

func TestClusterNodeTakenForASingleServer(t *testing.T) {
	node, _, _ := strings.Cut(env(t, "REDIS_CLUSTER"), ",")
	st, err := Open(context.Background(), "redis://"+node, &Options{Lazy: true})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for i := 0; err == nil && i < 100; i++ {
		_, err = st.table.Get(background, "r/"+strings.Repeat("0", i))
	}
	wantSentence(t, err, "belongs to a Cluster")
}

func TestLazyStoreComesUpWithItsServer(t *testing.T) {
	s := serve(t)
	s.stop()
	for kind, url := range map[string]string{"single": s.url(), "cluster": "redis+cluster://" + s.addr} {
		t.Run(kind, func(t *testing.T) {
			st, err := Open(context.Background(), url, &Options{Lazy: true})
			if err != nil {
				t.Fatal(err)
			}
			defer st.Close()
			_, err = st.Lookup(background, "key")
			wantSentence(t, err, "nothing listens")
		})
	}
	st, err := Open(context.Background(), s.url(), &Options{Lazy: true})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if _, err := st.Lookup(background, "key"); err == nil {
		t.Error("a stopped server answers")
	}
	s.start()
	if _, err := st.Lookup(background, "key"); err != nil {
		t.Error(err)
	}
}

func TestSilentSentinelsCostNoMoreThanTheCallAllows(t *testing.T) {
	var addrs []string
	for range 5 {
		l, err := net.Listen("tcp", "127.0.0.1:0") // the system takes connections, and nobody answers
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		addrs = append(addrs, l.Addr().String())
	}
	st, err := Open(background, "redis+sentinel://"+strings.Join(addrs, ",")+"/main", &Options{Lazy: true})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // who makes the client, and who waits for that
		ctx, cancel := context.WithTimeout(background, 50*time.Millisecond)
		defer cancel()
		from := time.Now()
		_, err = st.Lookup(ctx, "key")
		wantSentence(t, err, "did not answer in time")
		if took := time.Since(from); took > time.Second {
			t.Errorf("a call with 50 ms took %v", took)
		}
	}
	st.Close()
	if _, err := st.Lookup(background, "key"); !errors.Is(err, rueidis.ErrClosing) {
		t.Errorf("a closed store: %v", err)
	}
}

// rights returns those that the package comment tells of.
func rights(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(text), "ACL SETUSER cache on >PASSWORD ~larder:* ")
	line, _, _ = strings.Cut(line, "\n//\n")
	return strings.Fields(strings.ReplaceAll(line, "//", ""))
}

// TestUserWithTheRightsInTheDocumentation is the contract of records kept near as well. The commands are the same
// without that, and in a Cluster.
func TestUserWithTheRightsInTheDocumentation(t *testing.T) {
	for kind, more := range map[string]string{"single": "", "near": "+client|tracking", "cluster": "+cluster|slots"} {
		t.Run(kind, func(t *testing.T) {
			var s *server
			scheme := "redis://"
			if kind == "cluster" {
				s = serve(t, "--cluster-enabled", "yes")
				command(t, s.admin(), "CLUSTER", "ADDSLOTSRANGE", "0", "16383")
				scheme = "redis+cluster://"
			} else {
				s = serve(t)
			}
			admin := s.admin()
			command(t, admin, append(append([]string{"ACL", "SETUSER", "cache", "on", ">s3cr3t", "~larder:*"}, rights(t)...), strings.Fields(more)...)...)
			url := scheme + "cache:s3cr3t@" + s.addr
			eventually(t, "the server is up", func() bool {
				st, err := Open(context.Background(), url, nil)
				if err == nil {
					st.Close()
				}
				return err == nil
			})
			if kind == "near" {
				k := kit(t, url, func(o *Options) (store.Store, error) {
					o.Near = 1 << 20
					return Open(context.Background(), url, o)
				})
				k.Shared = false // what another store changes is seen a moment later
				storetest.Run(t, k)
			} else {
				useAll(t, openStore(t, url, nil))
			}
			wantNothingRefused(t, admin)
		})
	}
}

// useAll calls every method of a store.
func useAll(t *testing.T, s *Store) {
	var errs []error
	try := func(err error) { errs = append(errs, err) }
	r := fill(t, s, "https://example.com/", 300_000)
	for _, keep := range []time.Time{r.KeepUntil.Add(48 * time.Hour), {}} {
		u := r.Clone()
		u.KeepUntil = keep
		try(s.Update(background, u))
	}
	_, err := s.Lookup(background, r.Key)
	try(err)
	b, err := s.Open(background, r)
	try(err)
	_, err = io.Copy(io.Discard, b)
	try(err)
	try(b.Close())
	for range 2 {
		_, err := s.Lease(background, r.Key, r.ID, time.Minute)
		try(err)
	}
	try(s.Release(background, r.Key, r.ID))
	for _, q := range []store.Query{{Key: r.Key}, {URL: r.URL}, {Tag: "tag"}, {}} {
		for _, err := range s.Find(background, q) {
			try(err)
		}
	}
	_, _, err = s.Size(background)
	try(err)
	_, err = s.Sweep(background, time.Now())
	try(err)
	try(s.Delete(background, r.Key, r.ID))
	try(s.Delete(background, r.Key))
	try(s.Close()) // with what was to be done later
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
}

// wantNothingRefused checks what the server has noted of commands that a user had no right to: none but those that the
// client can do without.
func wantNothingRefused(t *testing.T, admin rueidis.Client) {
	t.Helper()
	log, err := elements(client{admin}.Do(background, Command{Name: []string{"ACL", "LOG"}}))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range log { // names and values take turns
		fields, _ := elements(entry, nil)
		at := slices.IndexFunc(fields, func(f any) bool { return text(f) == "object" })
		if object := text(fields[at+1]); !slices.Contains([]string{"ping", "client|setinfo", "cluster|shards"}, object) {
			t.Errorf("the server refused %s", object)
		}
	}
}
