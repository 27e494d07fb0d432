package mongodb

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/larder-go/larder/store"
)

func TestAddress(t *testing.T) {
	for uri, want := range map[string]string{
		"mongodb://h":                                 "h/larder",
		"mongodb://h/":                                "h/larder",
		"mongodb://h/?appName=a/b":                    "h/larder",
		"mongodb://h:1,i:2/web%20cache?w=1":           "h:1,i:2/web cache",
		"mongodb+srv://user:sec?ret@h.example.com/db": "h.example.com/db",
		"mongodb://user:secret@h/db?appName=a@b":      "h/db",
	} {
		hosts, database, err := address(uri)
		if got := hosts + "/" + database; got != want || err != nil {
			t.Errorf("%s: %s, %v; want %s", uri, got, err, want)
		}
	}
}

// Whatever is wrong is said in one sentence, at once or after a server was looked for, and without any part of a
// password.
func TestOpenFails(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken.Close()
	nobody := taken.Addr().String() // listens there now
	for _, c := range []struct{ uri, want string }{
		{"mongo://h/db", `mongodb: open: error parsing uri: scheme must be "mongodb" or "mongodb+srv"`},
		{"mongodb://user:s%zzecret@h/db", "mongodb: open: the URI has a % that is not followed by two hexadecimal digits"},
		{"mongodb://user:sec@ret@h/db", "unescaped @ sign in user info"},
		{"mongodb://user:sec/ret@h/db", "unescaped slash in password"},
		{"mongodb://user:secret", "mongodb: open: the URI has a port that is not a number"},
		{"mongodb://user:secret@h/db?connectTimeoutMS=soon", `invalid value for "connectTimeoutMS": "soon"`},
		{"mongodb://user:secret@h/my.db", `mongodb h/my.db: open: the database's name is "my.db"; want 1 to 63 bytes, and none of / \ . " $ and space`},
		{"mongodb://user:secret@" + nobody + "/db", "mongodb " + nobody + "/db: open: no server can be reached: dial tcp " + nobody},
		{"mongodb://user:secret@nowhere.invalid", "mongodb nowhere.invalid/larder: open: no server can be reached: dial tcp: lookup nowhere.invalid"},
		{"mongodb+srv://user:secret@nowhere.invalid", "lookup _mongodb._tcp.nowhere.invalid"},
	} {
		s, err := Open(t.Context(), c.uri, nil)
		if err == nil {
			t.Errorf("%s: it is open", c.uri)
			s.Close()
			continue
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.uri, err, c.want)
		}
		for _, secret := range []string{"sec", "ret", "%zz"} {
			if strings.Contains(strings.ReplaceAll(err.Error(), "_sec", ""), secret) {
				t.Errorf("%s: %v, which tells the password", c.uri, err)
			}
		}
	}
}

func TestWrongPassword(t *testing.T) {
	uri := strings.Replace(serverURI(t, "db"), "://", "://nobody:secret@", 1)
	_, err := Open(t.Context(), uri, nil) // FerretDB 1 knows no users, and refuses the exchange about the password
	hosts, _, _ := address(uri)
	if err == nil || !strings.HasPrefix(err.Error(), "mongodb "+hosts+"/db: open: ") || !strings.Contains(err.Error(), "(AuthenticationFailed)") {
		t.Fatalf("%v, want a sentence with the server's address and AuthenticationFailed", err)
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("%v, which tells the password", err)
	}
}

func TestMissingPermission(t *testing.T) {
	db := database(t)
	if ferret {
		t.Skip("FerretDB 1 knows no users: a missing permission is not tested")
	}
	create := bson.D{{Key: "createUser", Value: "reader"}, {Key: "pwd", Value: "secret"}, {Key: "roles", Value: bson.A{"read"}}}
	if err := db.RunCommand(t.Context(), create).Err(); err != nil {
		t.Fatal(err)
	}
	defer db.RunCommand(t.Context(), bson.D{{Key: "dropUser", Value: "reader"}})
	user := options.Credential{Username: "reader", Password: "secret", AuthSource: db.Name()}
	s, err := Open(t.Context(), serverURI(t, db.Name()), &Options{Client: options.Client().SetAuth(user)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err = s.Lease(t.Context(), "key", store.ID{1}, 0)
	if err == nil || !strings.Contains(err.Error(), db.Name()+": put into larder.leases: ") || !strings.Contains(err.Error(), "not authorized") {
		t.Errorf("a lease, by a user who may only read: %v", err)
	}
}

// Options.Client overrides the URI, which overrides the defaults.
func TestOptionsClient(t *testing.T) {
	db := database(t)
	elsewhere := options.Client().SetHosts([]string{"127.0.0.1:1"}).SetServerSelectionTimeout(50 * time.Millisecond)
	s, err := Open(t.Context(), serverURI(t, db.Name()), &Options{Client: elsewhere})
	if err == nil {
		s.Close()
		t.Fatal("it is open, at the URI's host")
	}
	if !strings.Contains(err.Error(), "dial tcp 127.0.0.1:1: ") {
		t.Errorf("%v, want that of dialling the host of Options.Client", err)
	}
}

func TestLazy(t *testing.T) {
	s, err := Open(t.Context(), "mongodb://nowhere.invalid/db", &Options{Lazy: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 2 {
		if _, err := s.Lookup(t.Context(), "key"); err == nil || !strings.Contains(err.Error(), "lookup nowhere.invalid") {
			t.Errorf("Lookup: %v, want that there is no such host", err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	client, err := mongo.Connect() // to wherever: it is not asked
	if err != nil {
		t.Fatal(err)
	}
	defer client.Disconnect(t.Context())
	for want, o := range map[string]*Options{
		"Options.Chunk is 16777216; want 15728640 at most": {Chunk: 16 << 20},
		"Options.Client and Lazy are for Open":             {Client: options.Client()},
	} {
		if _, err := New(client.Database("db"), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := New(client.Database(""), nil); err == nil {
		t.Error("a database without a name is no error")
	}
}

func TestCloseLeavesTheUsersClientOpen(t *testing.T) {
	db := database(t)
	s, err := New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := db.Client().Ping(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

func TestCloseClosesItsOwnClient(t *testing.T) {
	s, err := Open(t.Context(), serverURI(t, "larder"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Lookup(t.Context(), "key"); !errors.Is(err, mongo.ErrClientDisconnected) {
		t.Errorf("Lookup after Close: %v", err)
	}
}
