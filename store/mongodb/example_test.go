package mongodb_test

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store/mongodb"
)

func ExampleOpen() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s, err := mongodb.Open(ctx, "mongodb://localhost:27017/larder", nil)
	if err != nil {
		fmt.Println(err) // mongodb localhost:27017/larder: open: no server can be reached: dial tcp 127.0.0.1:27017: connect: connection refused
		return
	}
	defer s.Close()
	resp, err := (&larder.Cache{Store: s}).Client().Get("https://example.com/")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(larder.Info(resp).Outcome)
}

// Whatever the driver can do is set by Client.
func ExampleOptions_client() {
	s, err := mongodb.Open(context.Background(), "mongodb+srv://cluster.example.com/larder", &mongodb.Options{
		Client: options.Client().
			SetAppName("myprogram").
			SetReadPreference(readpref.Nearest()).
			SetConnectTimeout(2 * time.Second).
			SetServerSelectionTimeout(2 * time.Second),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
}

func ExampleNew() {
	client, err := mongo.Connect(options.Client().ApplyURI("mongodb://localhost:27017/?serverSelectionTimeoutMS=750"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Disconnect(context.Background())
	s, err := mongodb.New(client.Database("larder"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
}
