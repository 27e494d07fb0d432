module github.com/larder-go/larder/examples/bolt

go 1.26.0

require (
	github.com/larder-go/larder v0.0.0
	go.etcd.io/bbolt v1.5.0
)

require golang.org/x/sys v0.45.0 // indirect

replace github.com/larder-go/larder => ../..
