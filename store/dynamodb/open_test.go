package dynamodb

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	driver "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/chunked"
)

// static signs with these, wherever the test runs.
func static(key, secret string) *aws.Config {
	return &aws.Config{Region: "us-east-1", Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: key, SecretAccessKey: secret}, nil
	})}
}

// refused is an address at which nobody listens.
func refused(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return "http://" + l.Addr().String()
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	at := endpoint(t)
	wrongKeys := open(t, &Options{Attributes: Attributes{Partition: "other"}}).table.name
	missing := tableName(t)
	deny := newFront(t)
	denied := func(w http.ResponseWriter, c call) bool {
		fail(w, 400, "AccessDeniedException", "User: arn:aws:iam::123456789012:user/larder is not authorized to perform: dynamodb:"+c.op+" on resource: x")
		return true
	}
	deny.answer(denied)
	denyCreate := newFront(t)
	denyCreate.answer(func(w http.ResponseWriter, c call) bool { return c.op != "GetItem" && denied(w, c) })
	expired := newFront(t)
	expired.answer(func(w http.ResponseWriter, c call) bool {
		fail(w, 400, "ExpiredTokenException", "The security token included in the request is expired")
		return true
	})
	wrongSecret := newFront(t)
	wrongSecret.answer(func(w http.ResponseWriter, c call) bool {
		fail(w, 400, "InvalidSignatureException", "The request signature we calculated does not match.\n\nThe Canonical String was: secret")
		return true
	})
	nobody := refused(t)
	const secret = "tops3cret"
	for name, c := range map[string]struct {
		url     string
		o       Options
		want    []string
		wrapped error
	}{
		"a missing table": {
			"dynamodb://" + missing, Options{Endpoint: at},
			[]string{`table "` + missing + `" at ` + at, "there is no such table; create it, or let Open do so by create=true"}, &types.ResourceNotFoundException{},
		},
		"a table with other keys": {
			"dynamodb://" + wrongKeys, Options{Endpoint: at},
			[]string{wrongKeys, at, `want a table with the partition key "pk" and the sort key "sk", both strings`}, nil,
		},
		"a missing permission": {
			"dynamodb://" + missing, Options{Endpoint: deny.URL},
			[]string{missing, deny.URL, "a permission is missing: User: arn:aws:iam::123456789012:user/larder is not authorized to perform: dynamodb:GetItem"}, nil,
		},
		"a missing permission to create": {
			"dynamodb://" + missing + "?create=true", Options{Endpoint: denyCreate.URL},
			[]string{missing, denyCreate.URL, "create the table: a permission is missing: ", "perform: dynamodb:DescribeTable"}, nil,
		},
		"credentials that have expired": {
			"dynamodb://" + missing, Options{Endpoint: expired.URL}, []string{"the credentials have expired"}, nil,
		},
		"a wrong secret": {
			"dynamodb://" + missing, Options{Endpoint: wrongSecret.URL}, []string{"the credentials are refused: The request signature we calculated does not match."}, nil,
		},
		"nobody at the address": {
			"dynamodb://" + missing, Options{Endpoint: nobody}, []string{`table "` + missing + `" at ` + nobody, "connection refused"}, nil,
		},
		"an unknown host": {
			"dynamodb://" + missing, Options{Endpoint: "http://larder.invalid:8000"}, []string{missing, `at http://larder.invalid:8000: open: `, "larder.invalid"}, nil,
		},
		"no region": {
			"dynamodb://" + missing, Options{Endpoint: at, Config: &aws.Config{}}, []string{missing, "no region is given", "AWS_REGION"}, nil,
		},
		"another scheme":          {"mongodb://" + secret, Options{}, []string{"dynamodb://"}, nil},
		"no table":                {"dynamodb://", Options{}, []string{"dynamodb://TABLE"}, nil},
		"a password":              {"dynamodb://user:" + secret + "@table", Options{}, []string{"dynamodb://TABLE", "credentials are not given in the URL"}, nil},
		"a password after a name": {"dynamodb://table?endpoint=http://user:" + secret + "@host", Options{}, []string{`"table"`, "endpoint", "http://HOST:PORT"}, nil},
		"an endpoint that is none": {
			"dynamodb://table?endpoint=localhost:8000", Options{}, []string{`"table"`, "endpoint", "http://HOST:PORT"}, nil,
		},
		"an unknown option":  {"dynamodb://table?secret=" + secret, Options{}, []string{`"table"`, `unknown option "secret"`, "want region, endpoint, create or consistent"}, nil},
		"an option mistaken": {"dynamodb://table?create=perhaps", Options{}, []string{`"table"`, `create is "perhaps", want true or false`}, nil},
		"options misspelled": {"dynamodb://table?%zz=" + secret, Options{}, []string{`"table"`, "not a query string"}, nil},
		"a chunk too large": {
			"dynamodb://table", Options{Config: static("a", "b"), Options: chunked.Options{Chunk: maxChunk + 1}}, []string{"a chunk of 358401 bytes, want 358400 at most"}, nil,
		},
		"an attribute twice": {
			"dynamodb://table", Options{Config: static("a", "b"), Attributes: Attributes{Value: "pk"}}, []string{"two attributes have the same name"}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			begun := time.Now()
			s, err := Open(ctx, c.url, &c.o)
			if err == nil {
				s.Close()
				t.Fatal("no error")
			}
			if took := time.Since(begun); took > time.Second {
				t.Errorf("it took %v, want less than a second", took)
			}
			message := err.Error()
			for _, want := range c.want {
				if !strings.Contains(message, want) {
					t.Errorf("got %q, want %q in it", message, want)
				}
			}
			if strings.Contains(message, secret) || strings.Contains(message, "\n") || !strings.HasPrefix(message, "dynamodb: ") || strings.Contains(message, "operation error") {
				t.Errorf("got %q, want one plain sentence of ours without a secret", message)
			}
			if c.wrapped != nil {
				if missing := (*types.ResourceNotFoundException)(nil); !errors.As(err, &missing) {
					t.Errorf("got %#v, which does not wrap the SDK's %T", err, c.wrapped)
				}
			}
		})
	}
}

func TestOpenWithoutCredentials(t *testing.T) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL_DYNAMODB"} {
		t.Setenv(name, "")
	}
	for _, name := range []string{"HOME", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"} {
		t.Setenv(name, filepath.Join(t.TempDir(), "none"))
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	_, err := Open(ctx, "dynamodb://larder?region=eu-west-1", nil)
	if err == nil || !strings.HasPrefix(err.Error(), `dynamodb: table "larder" in eu-west-1: open: there are no credentials`) {
		t.Errorf("got %v, want that there are no credentials", err)
	}
}

func TestNewFindsOutAtTheFirstUse(t *testing.T) {
	cfg := *static("a", "b")
	client := driver.NewFromConfig(cfg, func(o *driver.Options) {
		o.BaseEndpoint = aws.String(refused(t))
		o.Retryer = retry.AddWithMaxAttempts(aws.NopRetryer{}, 1)
	})
	s, err := New(client, "larder", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lookup(ctx, "key"); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("Lookup: got %v, want that the connection was refused", err)
	}
	client = driver.NewFromConfig(cfg, func(o *driver.Options) { o.BaseEndpoint = aws.String(endpoint(t)) })
	name := tableName(t)
	if s, err = New(client, name, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lookup(ctx, "key"); err == nil || !strings.Contains(err.Error(), "there is no such table") {
		t.Errorf("Lookup: got %v, want that there is no table", err)
	}
	for range 2 {
		if err := s.CreateTable(ctx); err != nil && !errors.Is(err, ErrNoTimeToLive) {
			t.Fatal(err)
		}
	}
	if found, err := s.Lookup(ctx, "key"); len(found) != 0 || err != nil {
		t.Errorf("Lookup: got %v, %v", found, err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := New(client, "no/name", nil); err == nil {
		t.Error("New takes a table that cannot be")
	}
}

func TestOpenFollowsItsOptions(t *testing.T) {
	name := tableName(t)
	f := newFront(t)
	var region string
	o := &Options{
		Region: "elsewhere", Endpoint: "http://larder.invalid", Config: static("AKID", "secret"),
		Configure: func(o *driver.Options) { region = o.Region },
	}
	s, err := Open(ctx, "dynamodb://"+name+"?region=eu-central-1&create=true&consistent=true&endpoint="+f.URL, o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if region != "eu-central-1" || !s.table.consistent || len(f.calls()) == 0 {
		t.Errorf("region %q, consistent %v: want what the URL says", region, s.table.consistent)
	}
	if o.Region != "elsewhere" || o.Create || o.Consistent {
		t.Errorf("the options were changed: %+v", o)
	}
	if got := s.table.client.Options().Region; got != "eu-central-1" {
		t.Errorf("the client's region is %q", got)
	}
	creds, err := s.table.client.Options().Credentials.Retrieve(ctx)
	if err != nil || creds.AccessKeyID != "AKID" {
		t.Errorf("the client's credentials are %v, %v, want those of Config", creds.AccessKeyID, err)
	}
}

func TestLazyOpenSendsNothing(t *testing.T) {
	f := newFront(t)
	name := tableName(t)
	s, err := Open(ctx, "dynamodb://"+name, &Options{Endpoint: f.URL, Lazy: true, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if calls := f.calls(); len(calls) > 0 {
		t.Errorf("%d calls", len(calls))
	}
	if _, err := s.Lookup(ctx, "key"); err == nil || !strings.Contains(err.Error(), "there is no such table") {
		t.Errorf("the first use: got %v, want that there is no table", err)
	}
}

func TestCloseClosesTheConnections(t *testing.T) {
	name := open(t, nil).table.name
	for of, cfg := range map[string]*aws.Config{"the SDK's configuration": nil, "one without an HTTP client": static("a", "b")} {
		f := newFront(t)
		s, err := Open(ctx, "dynamodb://"+name, &Options{Endpoint: f.URL, Config: cfg})
		if err != nil {
			t.Fatal(err)
		}
		if n := f.connections.Load(); n != 1 {
			t.Errorf("%s: %d connections before Close, want 1", of, n)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		for end := time.Now().Add(5 * time.Second); f.connections.Load() > 0; <-time.After(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: a connection is open after Close", of)
			}
		}
	}
}

func TestOpenTakesAnARN(t *testing.T) {
	const arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/responses"
	var o Options
	if name, err := parse("dynamodb://"+arn+"?region=eu-west-1", &o); name != arn || err != nil || o.Region != "eu-west-1" {
		t.Errorf("got %q, %v, %q", name, err, o.Region)
	}
}

func TestSeveralMayCreateTheTable(t *testing.T) {
	name, at := tableName(t), endpoint(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			s, err := Open(ctx, "dynamodb://"+name, &Options{Endpoint: at, Create: true})
			if err != nil {
				t.Error(err)
				return
			}
			s.Close()
		})
	}
	all.Wait()
}

// TestTimeToLive lets a front answer what the server does not know.
func TestTimeToLive(t *testing.T) {
	type answers struct {
		Status, Attribute string
		UpdateFails       string
	}
	for name, c := range map[string]struct {
		answers
		updates int
		want    string
	}{
		"off":                     {answers{Status: "DISABLED"}, 1, ""},
		"on":                      {answers{Status: "ENABLED", Attribute: "expires"}, 0, ""},
		"just switched on":        {answers{Status: "ENABLING", Attribute: "expires"}, 0, ""},
		"on by another attribute": {answers{Status: "ENABLED", Attribute: "ttl"}, 0, `its time to live goes by the attribute "ttl", want "expires"`},
		"not known":               {answers{Status: "DISABLED", UpdateFails: "UnknownOperationException"}, 1, ErrNoTimeToLive.Error()},
		"not permitted":           {answers{Status: "DISABLED", UpdateFails: "AccessDeniedException"}, 1, "switch the time to live on: a permission is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFront(t)
			f.answer(func(w http.ResponseWriter, call call) bool {
				switch call.op {
				case "DescribeTimeToLive":
					description := map[string]string{"TimeToLiveStatus": c.Status}
					if c.Attribute != "" {
						description["AttributeName"] = c.Attribute
					}
					send(w, 200, map[string]any{"TimeToLiveDescription": description})
				case "UpdateTimeToLive":
					if c.UpdateFails != "" {
						fail(w, 400, c.UpdateFails, "")
						break
					}
					send(w, 200, struct{}{})
				default:
					return false
				}
				return true
			})
			table := tableName(t)
			s, err := Open(ctx, "dynamodb://"+table, &Options{Endpoint: f.URL, Create: true})
			calls := f.calls()
			switch tolerated := c.want == ErrNoTimeToLive.Error(); {
			case err == nil:
				defer s.Close()
				if tolerated {
					if err := s.CreateTable(ctx); !errors.Is(err, ErrNoTimeToLive) {
						t.Errorf("CreateTable: got %v, want %v", err, ErrNoTimeToLive)
					}
				} else if c.want != "" {
					t.Errorf("no error, want %q", c.want)
				}
			case tolerated || c.want == "" || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), table):
				t.Errorf("got %v, want %q", err, c.want)
			}
			calls = slices.DeleteFunc(calls, func(c call) bool { return c.op != "UpdateTimeToLive" })
			if len(calls) != c.updates {
				t.Errorf("%d calls of UpdateTimeToLive, want %d", len(calls), c.updates)
			}
			for _, call := range calls {
				var in struct {
					TableName               string
					TimeToLiveSpecification struct {
						AttributeName string
						Enabled       bool
					}
				}
				if err := json.Unmarshal(call.body, &in); err != nil || in.TableName != table || in.TimeToLiveSpecification.AttributeName != "expires" || !in.TimeToLiveSpecification.Enabled {
					t.Errorf("UpdateTimeToLive: %s", call.body)
				}
			}
		})
	}
}

func TestUseAfterTheTableIsGone(t *testing.T) {
	s := open(t, nil)
	dropTable(t, endpoint(t), s.table.name)
	const want = "there is no such table"
	r := record("key")
	w, err := s.Create(ctx, r)
	if err == nil {
		err = w.Commit(r)
		w.Close()
	}
	_, lookup := s.Lookup(ctx, "key")
	find := error(nil)
	for _, find = range s.Find(ctx, store.Query{}) {
	}
	for op, err := range map[string]error{"Commit": err, "Lookup": lookup, "Find": find, "Update": s.Update(ctx, r), "Delete": s.Delete(ctx, "key")} {
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), s.table.name) {
			t.Errorf("%s: got %v, want %q in it", op, err, want)
		}
	}
}
